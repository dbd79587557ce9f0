/// Pictures of any size: mirrored until they fit, cut into tiles without seams; the rule is that
/// of runtime/tiles.py and runtime/frames.py.
#pragma once

#include <cstdint>
#include <vector>

#include "freeway.hpp"

namespace freeway {

/// Up to so many a picture is run whole; a frame of 1920 x 1080 is.
inline constexpr std::int64_t WHOLE_PIXELS = std::int64_t{1} << 21;
/// Longest side of a tile of larger ones.
inline constexpr std::int64_t TILE = 1024;

/// A tile along one side: `start` to `stop` is read, `begin` to `end` of it is kept.
struct Span {
    std::int64_t start, stop, begin, end;
};

/// Cut one side of a picture into tiles of at most `most`, with a margin around what is kept.
/// Throws `Refused` where such a tile would be all margin.
std::vector<Span> spans(std::int64_t length, std::int64_t most, std::int64_t margin,
                        std::int64_t multiple);

/// The same with tiles of exactly this side, at most `length`.
std::vector<Span> spans_of(std::int64_t length, std::int64_t side, std::int64_t margin);

/// Mirrored at the bottom and the right until it is of this size.
Picture filled(const Picture& picture, int height, int width);

/// What a tile reads of a picture.
Picture read(const Picture& picture, const Span& rows, const Span& columns);

/// Put what is kept of a tile where it belongs; `scale` is how much larger it has become.
void put(const Picture& tile, const Span& rows, const Span& columns, int scale, Picture& made);

/// The upper left of a picture.
Picture cut(const Picture& picture, int height, int width);

}  // namespace freeway
