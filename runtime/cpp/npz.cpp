// Sources: APPNOTE.TXT of the .ZIP file format, sections 4.3.7, 4.3.12 and 4.3.16; the page
// "numpy.lib.format" of numpy's documentation.

#include "npz.hpp"

#include <sstream>
#include <stdexcept>

namespace freeway {
namespace {

constexpr std::string_view LOCAL = "PK\x03\x04", CENTRAL = "PK\x01\x02", END = "PK\x05\x06";
constexpr std::size_t LOCAL_SIZE = 30, CENTRAL_SIZE = 46, END_SIZE = 22;
constexpr std::string_view MAGIC = "\x93NUMPY", SUFFIX = ".npy";

[[noreturn]] void refuse(const char* why) { throw std::runtime_error(why); }

std::string_view part(std::string_view file, std::size_t at, std::size_t size) {
    if (at > file.size() || size > file.size() - at) refuse("its end is missing");
    return file.substr(at, size);
}

/// A number of two or four bytes, the lowest first.
std::size_t number(std::string_view file, std::size_t at, int bytes) {
    const auto place = part(file, at, std::size_t(bytes));
    std::size_t value = 0;
    for (std::size_t k = place.size(); k-- > 0;)
        value = value << 8 | static_cast<unsigned char>(place[k]);
    return value;
}

/// What stands in a head between two words.
std::string between(const std::string& head, const std::string& first, char last) {
    const std::size_t begin = head.find(first);
    const std::size_t end = head.find(last, begin + first.size());
    if (begin == std::string::npos || end == std::string::npos)
        refuse("it holds an array of another kind");
    return head.substr(begin + first.size(), end - begin - first.size());
}

Array read_npy(std::string_view file) {
    if (part(file, 0, MAGIC.size()) != MAGIC) refuse("it holds what is no array");
    const int bytes = file.size() > 6 && file[6] == 1 ? 2 : 4;
    const std::size_t begin = 8 + std::size_t(bytes), size = number(file, 8, bytes);
    const std::string head(part(file, begin, size)), type = between(head, "'descr': '", '\'');
    if ((type != "|u1" && type != "<f4") || between(head, "'fortran_order': ", ',') != "False")
        refuse("it holds an array of another kind");
    Array array;
    array.is_bytes = type == "|u1";
    std::size_t count = 1;
    std::istringstream sides(between(head, "'shape': (", ')'));
    for (std::int64_t side; sides >> side; sides.ignore(1, ',')) {
        array.shape.push_back(side);
        if (side < 0 || std::size_t(side) > file.size()) refuse("its end is missing");
        count *= std::size_t(side);
        if (count > file.size()) refuse("its end is missing");
    }
    array.content = part(file, begin + size, array.is_bytes ? count : count * sizeof(float));
    return array;
}

}  // namespace

std::map<std::string, Array> read_npz(std::string_view file) {
    const std::size_t end = file.rfind(END);
    if (end == std::string_view::npos || file.size() - end < END_SIZE) refuse("it is no .npz");
    std::map<std::string, Array> arrays;
    std::size_t at = number(file, end + 16, 4);
    for (std::size_t left = number(file, end + 10, 2); left > 0; --left) {
        if (part(file, at, CENTRAL.size()) != CENTRAL) refuse("it is no .npz");
        if (number(file, at + 10, 2) != 0)
            throw Compressed("it is compressed, as bundles had it earlier");
        const std::size_t size = number(file, at + 24, 4), local = number(file, at + 42, 4);
        std::string name(part(file, at + CENTRAL_SIZE, number(file, at + 28, 2)));
        if (name.size() > SUFFIX.size() && name.substr(name.size() - SUFFIX.size()) == SUFFIX)
            name.resize(name.size() - SUFFIX.size());
        if (part(file, local, LOCAL.size()) != LOCAL) refuse("it is no .npz");
        const std::size_t begin =
            local + LOCAL_SIZE + number(file, local + 26, 2) + number(file, local + 28, 2);
        arrays[name] = read_npy(part(file, begin, size));
        at += CENTRAL_SIZE + number(file, at + 28, 2) + number(file, at + 30, 2) +
              number(file, at + 32, 2);
    }
    return arrays;
}

}  // namespace freeway
