#include "tiles.hpp"

#include <algorithm>

namespace freeway {
namespace {

std::vector<Span> overlapping(std::int64_t length, std::int64_t side, std::int64_t margin) {
    std::vector<Span> found;
    const std::int64_t step = side - 2 * margin;
    for (std::int64_t start = 0; start < length - side; start += step)
        found.push_back({start, start + side, start + margin, 0});
    found.push_back({length - side, length, length - side + margin, length});
    found.front().begin = 0;
    for (std::size_t k = 0; k + 1 < found.size(); ++k) found[k].end = found[k + 1].begin;
    return found;
}

std::int64_t divided_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

/// The place that a place beyond the edge mirrors, the edge's own pixel told twice.
int mirrored(int at, int length) {
    const int place = at % (2 * length);
    return place < length ? place : 2 * length - 1 - place;
}

Picture sized(int height, int width, int channels) {
    const auto count = std::size_t(height) * std::size_t(width) * std::size_t(channels);
    return {height, width, channels, std::vector<std::uint8_t>(count)};
}

template <class Levels>
auto pixel(Levels& picture, std::int64_t row, std::int64_t column) {
    return picture.levels.begin() + (row * picture.width + column) * picture.channels;
}

}  // namespace

std::vector<Span> spans(std::int64_t length, std::int64_t most, std::int64_t margin,
                        std::int64_t multiple) {
    if (length <= most) return {{0, length, 0, length}};
    const std::int64_t room = most - 2 * margin, inner = room < 0 ? 0 : room / multiple * multiple;
    if (inner < 1)
        throw Refused("a tile of " + std::to_string(most) + " is all margin: this network sees " +
                      std::to_string(margin) + " pixels to each side, give at least " +
                      std::to_string(2 * margin + std::max<std::int64_t>(multiple, 16)));
    const std::int64_t count = divided_up(length - 2 * margin, inner);
    const std::int64_t kept = divided_up(divided_up(length - 2 * margin, count), multiple);
    return overlapping(length, kept * multiple + 2 * margin, margin);
}

std::vector<Span> spans_of(std::int64_t length, std::int64_t side, std::int64_t margin) {
    if (length > side && side <= 2 * margin)
        throw Refused("the file runs at its own size only, " + std::to_string(side) +
                      " pixels of it are all margin: this network sees " +
                      std::to_string(margin) +
                      " to each side; engine='openvino' runs other sizes");
    return overlapping(length, side, margin);
}

Picture filled(const Picture& picture, int height, int width) {
    Picture full = sized(height, width, picture.channels);
    for (int row = 0; row < height; ++row)
        for (int column = 0; column < width; ++column)
            std::copy_n(pixel(picture, mirrored(row, picture.height),
                              mirrored(column, picture.width)),
                        picture.channels, pixel(full, row, column));
    return full;
}

Picture read(const Picture& picture, const Span& rows, const Span& columns) {
    Picture part = sized(int(rows.stop - rows.start), int(columns.stop - columns.start),
                         picture.channels);
    for (int row = 0; row < part.height; ++row)
        std::copy_n(pixel(picture, rows.start + row, columns.start), part.width * part.channels,
                    pixel(part, row, 0));
    return part;
}

void put(const Picture& tile, const Span& rows, const Span& columns, int scale, Picture& made) {
    const auto wide = (columns.end - columns.begin) * scale * tile.channels;
    for (std::int64_t row = rows.begin * scale; row < rows.end * scale; ++row)
        std::copy_n(pixel(tile, row - rows.start * scale, (columns.begin - columns.start) * scale),
                    wide, pixel(made, row, columns.begin * scale));
}

Picture cut(const Picture& picture, int height, int width) {
    if (picture.height == height && picture.width == width) return picture;
    return read(picture, {0, height, 0, height}, {0, width, 0, width});
}

}  // namespace freeway
