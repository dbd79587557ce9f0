/// The hash that a manifest holds of each file.
#pragma once

#include <string>
#include <string_view>

namespace freeway {

/// SHA-256 in hexadecimal digits.
std::string sha256(std::string_view content);

}  // namespace freeway
