#include <algorithm>
#include <cmath>
#include <optional>

#include "description.hpp"
#include "tiles.hpp"

namespace freeway {
namespace {

constexpr std::size_t KEPT = 4;  // so many sizes stay compiled
// From the one that is shipped for its speed to the one that every bundle has.
const std::vector<std::string> PRECISIONS = {"int8", "fp16", "fp32"};

std::int64_t multiple_above(std::int64_t side, std::int64_t multiple) {
    return (side + multiple - 1) / multiple * multiple;
}

/// Pixels (h, w, C) as planes (C, h, w), each value through `turned`.
template <class To, class Turned>
void to_planes(const Picture& picture, To* planes, Turned turned) {
    const std::size_t plane = std::size_t(picture.height) * std::size_t(picture.width);
    const auto channels = std::size_t(picture.channels);
    for (std::size_t c = 0; c < channels; ++c)
        for (std::size_t p = 0; p < plane; ++p)
            planes[c * plane + p] = turned(picture.levels[p * channels + c]);
}

template <class From, class Turned>
void from_planes(const From* planes, Picture& picture, Turned turned) {
    const std::size_t plane = std::size_t(picture.height) * std::size_t(picture.width);
    const auto channels = std::size_t(picture.channels);
    for (std::size_t c = 0; c < channels; ++c)
        for (std::size_t p = 0; p < plane; ++p)
            picture.levels[p * channels + c] = turned(planes[c * plane + p]);
}

/// Nominally in [0, 1] -> a level, clipped and rounded.
std::uint8_t shown(float value) {
    if (!std::isfinite(value))
        throw Refused("the network's output has values that are not finite");
    const float level = value * 255.0f + 0.5f;
    return level > 0.0f ? static_cast<std::uint8_t>(std::min(level, 255.0f)) : 0;
}

/// A port's picture on its way into a file or out of it; what lies as the file has it is not
/// copied.
class Passage {
public:
    Passage(Io io, std::size_t count) : io_(io) {
        if (io == Io::FLOAT_NCHW) numbers_.resize(count);
        if (io == Io::UINT8_NCHW) levels_.resize(count);
    }

    const void* into(const Picture& picture) {
        if (io_ == Io::UINT8_NHWC) return picture.levels.data();
        const auto number = [](std::uint8_t level) { return float(level) / 255.0f; };
        const auto same = [](std::uint8_t level) { return level; };
        if (io_ == Io::UINT8_NCHW) return to_planes(picture, levels_.data(), same), levels_.data();
        return to_planes(picture, numbers_.data(), number), numbers_.data();
    }

    void* place_in(Picture& picture) {
        if (io_ == Io::UINT8_NHWC) return picture.levels.data();
        return io_ == Io::FLOAT_NCHW ? static_cast<void*>(numbers_.data()) : levels_.data();
    }

    void out_to(Picture& picture) const {
        const auto same = [](std::uint8_t level) { return level; };
        if (io_ == Io::FLOAT_NCHW) from_planes(numbers_.data(), picture, shown);
        if (io_ == Io::UINT8_NCHW) from_planes(levels_.data(), picture, same);
    }

private:
    Io io_;
    std::vector<float> numbers_;
    std::vector<std::uint8_t> levels_;
};

void resize(Picture& picture, std::int64_t height, std::int64_t width, std::int64_t channels) {
    picture.height = int(height), picture.width = int(width), picture.channels = int(channels);
    picture.levels.resize(std::size_t(height * width * channels));
}

}  // namespace

struct Network::Inside {
    std::string onnx, precision;
    const Engine* engine = nullptr;
    Signature signature;
    Reach reach;
    Receipt receipt;
    int threads = 1, tile = 0;

    Tensors state, next;
    std::vector<std::pair<Shapes, std::unique_ptr<Compiled>>> kept;
    std::optional<std::pair<int, int>> own_size;

    /// The file compiled for these shapes of its inputs; the last few stay.
    Compiled& ready(const Shapes& shapes) {
        for (auto& [known, file] : kept)
            if (known == shapes) return *file;
        auto file = compiled(*engine, onnx, shapes, threads);
        if (kept.size() == KEPT) kept.erase(kept.begin());
        kept.emplace_back(shapes, std::move(file));
        return *kept.back().second;
    }

    void remember(const Shapes& shapes) {
        if (state.empty()) state = start_of(signature, shapes);
        for (const auto& [name, tensor] : state)
            if (tensor.shape != shapes.at(name))
                throw Refused("this network remembers earlier pictures: they have to be of one "
                              "size, or reset() comes between");
    }

    /// One frame at its own size.
    void frame(const Picture& full, Picture& made) {
        const std::string source = signature.given()[0].name, target = signature.outputs[0].name;
        Shapes shapes;
        for (const Port& port : signature.inputs)
            shapes[port.name] = shape_of(port, full.height, full.width);
        Compiled& file = ready(shapes);
        remember(shapes);
        std::vector<Passage> in, out;
        std::vector<const void*> given;
        std::vector<void*> places;
        in.reserve(1), out.reserve(1);
        for (std::size_t k = 0; k < file.inputs.size(); ++k) {
            const std::string& name = file.inputs[k].name;
            if (name == source) {
                in.emplace_back(file.enters[k], full.levels.size());
                given.push_back(in[0].into(full));
            } else {
                given.push_back(numbers(state.at(name), file.inputs[k]));
            }
        }
        for (std::size_t k = 0; k < file.outputs.size(); ++k) {
            const Entry& entry = file.outputs[k];
            const Shape shape = of_file(entry.shape, file.leaves[k]);
            if (entry.name == target) {
                resize(made, shape[2], shape[3], shape[1]);
                out.emplace_back(file.leaves[k], made.levels.size());
                places.push_back(out[0].place_in(made));
            } else {
                Tensor& after = next[signature.carried.at(entry.name)];
                after.shape = shape;
                after.values.resize(std::size_t(count_of(shape)));
                places.push_back(numbers(after, entry));
            }
        }
        file.run(given, places);
        out.at(0).out_to(made);
        state.swap(next);
    }

    static float* numbers(Tensor& tensor, const Entry& entry) {
        if (entry.is_bytes) throw Refused("the file holds " + entry.name + " in bytes");
        return tensor.values.data();
    }

    /// A frame by whatever size the engine runs.
    void sized(const Picture& full, Picture& made) {
        if (!own_size) {
            try {
                return frame(full, made);
            } catch (const OneSize& error) {
                if (!signature.carried.empty()) throw;
                const Shape& shape = error.shapes.begin()->second;
                own_size = {int(shape[2]), int(shape[3])};
            }
        }
        const auto [height, width] = *own_size;
        const Picture filling = filled(full, std::max(height, full.height),
                                       std::max(width, full.width));
        Picture whole;
        tiled(filling, own_spans(filling.height, height), own_spans(filling.width, width), whole,
              &Inside::frame);
        made = cut(whole, full.height * scale(), full.width * scale());
    }

    std::vector<Span> own_spans(std::int64_t length, std::int64_t side) const {
        std::int64_t margin = reach.overlap;
        if (!reach.is_known) margin = std::min(margin, side / 4 / reach.multiple * reach.multiple);
        return spans_of(length, side, margin);
    }

    int scale() const { return int(signature.scale()); }

    void tiled(const Picture& full, const std::vector<Span>& rows,
               const std::vector<Span>& columns, Picture& made,
               void (Inside::*step)(const Picture&, Picture&)) {
        if (rows.size() == 1 && columns.size() == 1) return (this->*step)(full, made);
        Picture part;
        for (const Span& row : rows)
            for (const Span& column : columns) {
                (this->*step)(read(full, row, column), part);
                if (made.levels.empty())
                    resize(made, std::int64_t{full.height} * scale(),
                           std::int64_t{full.width} * scale(), part.channels);
                put(part, row, column, scale(), made);
            }
    }

    /// A picture of any size.
    void through(const Picture& picture, Picture& made) {
        const int height = int(multiple_above(picture.height, reach.multiple));
        const int width = int(multiple_above(picture.width, reach.multiple));
        const bool fits = height == picture.height && width == picture.width;
        const Picture padded = fits ? Picture{} : filled(picture, height, width);
        const Picture& full = fits ? picture : padded;
        const bool is_whole = !signature.carried.empty() ||
                              (tile == 0 && std::int64_t{height} * width <= WHOLE_PIXELS);
        if (is_whole) {
            sized(full, made);
        } else {
            made.levels.clear();
            tiled(full, cut_up(height), cut_up(width), made, &Inside::sized);
        }
        if (!fits) made = cut(made, picture.height * scale(), picture.width * scale());
    }

    std::vector<Span> cut_up(std::int64_t length) const {
        const std::int64_t margin = multiple_above(reach.overlap, reach.multiple);
        const std::int64_t most = tile ? tile : std::max(TILE, 3 * margin);
        return spans(length, most, margin, reach.multiple);
    }

    void require_picture(const Picture& picture) const {
        if (!signature.makes_frames())
            throw Refused("this network does not make one picture of one: give numbers by port");
        const std::int64_t takes = signature.given()[0].channels;
        if (picture.channels != takes)
            throw Refused("the picture has " + std::to_string(picture.channels) +
                          " channels: this network takes " + std::to_string(takes) +
                          (reach.planes.empty() ? "" : ", which are " + reach.planes));
        if (picture.height < 1 || picture.width < 1) throw Refused("the picture has no pixels");
        const auto count = std::size_t(picture.height) * std::size_t(picture.width);
        if (picture.levels.size() != count * std::size_t(picture.channels))
            throw Refused("the picture has " + std::to_string(picture.levels.size()) +
                          " levels, which is not height x width x channels");
    }
};

Network::Network(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::~Network() = default;

Picture Network::operator()(const Picture& frame) {
    Picture made;
    (*this)(frame, made);
    return made;
}

void Network::operator()(const Picture& frame, Picture& made) {
    inside_->require_picture(frame);
    inside_->through(frame, made);
}

Tensors Network::operator()(const Tensors& frame) {
    const Shapes shapes = shapes_of(inside_->signature, frame);
    Compiled& file = inside_->ready(shapes);
    inside_->remember(shapes);
    Tensors inputs = inside_->state;
    inputs.insert(frame.begin(), frame.end());
    Tensors outputs = run(file, inputs);
    inside_->state = carried_of(inside_->signature, outputs);
    return outputs;
}

void Network::reset() { inside_->state.clear(); }

const Signature& Network::signature() const { return inside_->signature; }
const Receipt& Network::receipt() const { return inside_->receipt; }
const std::string& Network::planes() const { return inside_->reach.planes; }
const std::string& Network::precision() const { return inside_->precision; }
const std::string& Network::engine() const { return inside_->engine->name; }
std::string Network::engine_version() const { return inside_->engine->version(); }

namespace {

std::string precision_of(const Manifest& manifest, const std::string& asked) {
    std::string shipped, first;
    bool has_asked = false, has_fastest = false;
    for (const std::string& precision : PRECISIONS) {
        if (!manifest.has(precision + ".onnx")) continue;
        if (first.empty()) first = precision;
        shipped += (shipped.empty() ? "" : ", ") + precision;
        has_asked |= precision == asked;
        has_fastest |= precision == manifest.runs;
    }
    if (first.empty())
        throw BadBundle(manifest.folder.string() +
                        " names no ONNX file in its manifest: export it again");
    if (asked.empty()) return has_fastest ? manifest.runs : first;
    if (!has_asked)
        throw Refused("precision is '" + asked + "': " + manifest.folder.string() + " ships " +
                      shipped);
    return asked;
}

const Engine& timed_on(const std::string& name) {
    for (const Engine& engine : built_in())
        if (engine.name == name) return engine;
    const std::string other = built_in().empty() ? "another" : built_in()[0].name;
    throw Refused("the bundle was timed on " + name + ", which is not built in: build with it, " +
                  "or name another engine, as " + other + ", whose latency nobody has promised");
}

}  // namespace

Network load(const std::filesystem::path& bundle, const Options& options) {
    const Manifest manifest = read_manifest(bundle);
    auto inside = std::make_unique<Network::Inside>();
    inside->precision = precision_of(manifest, options.precision);
    inside->onnx = manifest.read(inside->precision + ".onnx");
    inside->receipt = receipt_of(manifest, inside->precision);
    inside->signature = signature_of(manifest);
    inside->reach = reach_of(manifest);
    inside->engine = options.engine.empty() ? &timed_on(inside->receipt.engine)
                                            : &engine_of(options.engine);
    if (options.threads < 1) throw Refused("threads is less than 1");
    if (options.tile < 0) throw Refused("the tile is less than 0");
    inside->threads = options.threads, inside->tile = options.tile;
    return Network(std::move(inside));
}

}  // namespace freeway
