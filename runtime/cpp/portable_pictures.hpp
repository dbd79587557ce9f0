/// Pictures as the program reads and writes them: portable pixmaps and graymaps of 8 bits.
#pragma once

#include <filesystem>

#include "freeway.hpp"

namespace freeway {

/// A binary PPM or PGM (P6, P5) with a maximum of 255. Throws `Refused` where it is another file.
Picture read_picture(const std::filesystem::path& path);

/// Write one of 3 channels or 1, aside and renamed, so that nothing half-written stays.
void write_picture(const std::filesystem::path& path, const Picture& picture);

}  // namespace freeway
