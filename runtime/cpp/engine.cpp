#include "engine.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace freeway {
namespace {

std::string joined(const Shape& shape, std::size_t from) {
    std::string told;
    for (std::size_t k = from; k < shape.size(); ++k)
        told += (told.empty() ? "" : "x") + std::to_string(shape[k]);
    return told;
}

std::string sizes(const Shapes& shapes) {
    std::string told;
    for (const auto& [name, shape] : shapes)
        told += (told.empty() ? "" : ", ") + joined(shape, shape.size() > 2 ? 2 : 0);
    return told;
}

/// Call back with the place of each value in (N, C, H, W) and in (N, H, W, C).
template <class Done>
void each_place(const Shape& shape, Done done) {
    const auto channels = std::size_t(shape[1]), plane = std::size_t(shape[2] * shape[3]);
    for (std::size_t n = 0; n < std::size_t(shape[0]); ++n)
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < plane; ++p)
                done((n * channels + c) * plane + p, (n * plane + p) * channels + c);
}

std::uint8_t level_of(float value) {
    const float level = std::nearbyint(value * 255.0f);
    return level > 255.0f ? 255 : level > 0.0f ? static_cast<std::uint8_t>(level) : 0;
}

}  // namespace

OneSize::OneSize(const Shapes& has, const Shapes& wanted, const std::string& otherwise)
    : Refused("the file is for pictures of " + sizes(has) + ", this one is " + sizes(wanted) +
              ": " + otherwise),
      shapes(has) {}

const std::vector<Engine>& built_in() {
    static const std::vector<Engine> found = {
#ifdef FREEWAY_OPENVINO
        OPENVINO,
#endif
#ifdef FREEWAY_ONNXRUNTIME
        ONNXRUNTIME,
#endif
    };
    return found;
}

std::vector<std::string> engines() {
    std::vector<std::string> names;
    for (const Engine& engine : built_in()) names.push_back(engine.name);
    return names;
}

const Engine& engine_of(const std::string& name) {
    std::string known;
    for (const Engine& engine : built_in()) {
        if (engine.name == name) return engine;
        known += (known.empty() ? "" : " or ") + engine.name;
    }
    throw Refused("engine '" + name + "' is not built in: build with it, or name " + known +
                  ", whose latency nobody has promised");
}

Io io_of(const Entry& entry, std::int64_t channels) {
    if (!entry.is_bytes) return Io::FLOAT_NCHW;
    return entry.shape.back() == channels ? Io::UINT8_NHWC : Io::UINT8_NCHW;
}

Shape in_file(const Shape& s, Io io) {
    return io == Io::UINT8_NHWC ? Shape{s[0], s[2], s[3], s[1]} : s;
}

Shape of_file(const Shape& s, Io io) {
    return io == Io::UINT8_NHWC ? Shape{s[0], s[3], s[1], s[2]} : s;
}

std::int64_t count_of(const Shape& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::unique_ptr<Compiled> compiled(const Engine& engine, const std::string& onnx,
                                   const Shapes& shapes, int threads) {
    auto file = engine.compile(onnx, shapes, threads);
    Io levels = Io::UINT8_NHWC;
    bool is_known = false;
    for (const Entry& entry : file->inputs) {
        const Io io = io_of(entry, shapes.at(entry.name)[1]);
        if (io != Io::FLOAT_NCHW && !is_known) levels = io, is_known = true;
        file->enters.push_back(io);
    }
    // Pictures of bytes leave a file as they enter it.
    for (const Entry& entry : file->outputs)
        file->leaves.push_back(entry.is_bytes ? levels : Io::FLOAT_NCHW);
    return file;
}

void enter(const Tensor& values, Io io, std::uint8_t* levels) {
    if (io == Io::UINT8_NHWC)
        each_place(values.shape, [&](std::size_t at, std::size_t to) {
            levels[to] = level_of(values.values[at]);
        });
    else
        std::transform(values.values.begin(), values.values.end(), levels, level_of);
}

void leave(const std::uint8_t* levels, Io io, Tensor& values) {
    values.values.resize(std::size_t(count_of(values.shape)));
    const auto number = [](std::uint8_t level) { return float(level) / 255.0f; };
    if (io == Io::UINT8_NHWC)
        each_place(values.shape, [&](std::size_t to, std::size_t at) {
            values.values[to] = number(levels[at]);
        });
    else
        std::transform(levels, levels + values.values.size(), values.values.begin(), number);
}

Tensors run(Compiled& file, const Tensors& inputs) {
    std::vector<std::vector<std::uint8_t>> entering(file.inputs.size()),
        leaving(file.outputs.size());
    std::vector<const void*> given;
    std::vector<void*> made;
    for (std::size_t k = 0; k < file.inputs.size(); ++k) {
        const Tensor& values = inputs.at(file.inputs[k].name);
        if (file.enters[k] == Io::FLOAT_NCHW) {
            given.push_back(values.values.data());
            continue;
        }
        entering[k].resize(values.values.size());
        enter(values, file.enters[k], entering[k].data());
        given.push_back(entering[k].data());
    }
    Tensors outputs;
    for (std::size_t k = 0; k < file.outputs.size(); ++k) {
        Tensor& values = outputs[file.outputs[k].name];
        values.shape = of_file(file.outputs[k].shape, file.leaves[k]);
        const auto count = std::size_t(count_of(values.shape));
        if (file.leaves[k] == Io::FLOAT_NCHW) {
            values.values.resize(count);
            made.push_back(values.values.data());
        } else {
            leaving[k].resize(count);
            made.push_back(leaving[k].data());
        }
    }
    file.run(given, made);
    for (std::size_t k = 0; k < file.outputs.size(); ++k)
        if (file.leaves[k] != Io::FLOAT_NCHW)
            leave(leaving[k].data(), file.leaves[k], outputs[file.outputs[k].name]);
    return outputs;
}

}  // namespace freeway
