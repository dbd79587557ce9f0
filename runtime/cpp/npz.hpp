/// Arrays of numpy's .npz, of bytes or 32-bit numbers, as they lie in the file.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace freeway {

/// An array in C order.
struct Array {
    bool is_bytes = false;
    std::vector<std::int64_t> shape;
    std::string content;
};

/// An .npz is compressed, and this library has nothing that unpacks it.
struct Compressed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The arrays of an .npz by name. Throws `Compressed`, or `std::runtime_error` where it is none or
/// holds arrays of another type.
std::map<std::string, Array> read_npz(std::string_view file);

}  // namespace freeway
