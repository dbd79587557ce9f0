// The planes of a video decoder as a network of them sees them; the order is that of
// runtime/planes.py.

#include <algorithm>

#include "freeway.hpp"

namespace freeway {
namespace {

constexpr int PHASES = 4, CHANNELS = 6;

/// Call back with the place of every value among the planes and in the picture.
template <class Done>
void each_place(int height, int width, Done done) {
    const std::size_t rows = std::size_t(height), columns = std::size_t(width);
    const std::size_t luma = PHASES * rows * columns, chroma = rows * columns;
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t column = 0; column < columns; ++column) {
            const std::size_t pixel = row * columns + column, there = pixel * CHANNELS;
            for (std::size_t phase = 0; phase < PHASES; ++phase)
                done((2 * row + phase / 2) * 2 * columns + 2 * column + phase % 2, there + phase);
            done(luma + pixel, there + PHASES);
            done(luma + chroma + pixel, there + PHASES + 1);
        }
}

}  // namespace

Picture of_yuv420(const std::vector<std::uint8_t>& planes, int height, int width) {
    const std::size_t pixels = std::size_t(std::max(height, 0)) * std::size_t(std::max(width, 0));
    if (pixels == 0 || height % 2 || width % 2)
        throw Refused("a frame of yuv420p has an even height and width, and this one is " +
                      std::to_string(height) + "x" + std::to_string(width));
    if (planes.size() * 2 != pixels * 3)
        throw Refused("a frame of yuv420p has 3 bytes for every 2 pixels, and this one has " +
                      std::to_string(planes.size()) + " for " + std::to_string(pixels));
    Picture packed{height / 2, width / 2, CHANNELS, std::vector<std::uint8_t>(planes.size())};
    each_place(packed.height, packed.width, [&](std::size_t from, std::size_t to) {
        packed.levels[to] = planes[from];
    });
    return packed;
}

std::vector<std::uint8_t> as_yuv420(const Picture& packed) {
    if (packed.channels != CHANNELS) throw Refused("only a picture of 6 channels is of yuv420p");
    std::vector<std::uint8_t> planes(packed.levels.size());
    each_place(packed.height, packed.width, [&](std::size_t to, std::size_t from) {
        planes[to] = packed.levels.at(from);
    });
    return planes;
}

}  // namespace freeway
