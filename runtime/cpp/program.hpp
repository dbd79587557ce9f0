/// The commands of the program.
#pragma once

#include <filesystem>

#include "freeway.hpp"

namespace freeway {

/// One line, in which nothing steers a terminal.
std::string line_of(const std::string& told);

/// Hold a bundle against its hashes and its golden outputs, and print a line for each check.
/// Returns 0, or 1 where one failed.
int verify(const std::filesystem::path& bundle);

/// Time whole frames of a bundle and print the receipt's figure beside it.
int time_frames(const std::filesystem::path& bundle, Options options);

}  // namespace freeway
