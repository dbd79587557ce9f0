#include "golden.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "sha256.hpp"

namespace freeway {
namespace {

constexpr double NEVER = std::numeric_limits<double>::infinity();

Tensor numbers_of(const Array& array) {
    Tensor tensor{array.shape, std::vector<float>(std::size_t(count_of(array.shape)))};
    if (array.is_bytes)
        leave(reinterpret_cast<const std::uint8_t*>(array.content.data()), Io::UINT8_NCHW, tensor);
    else if (!tensor.values.empty())
        std::memcpy(tensor.values.data(), array.content.data(), array.content.size());
    return tensor;
}

std::size_t mirrored(std::int64_t at, std::int64_t length) {
    const std::int64_t place = at % (2 * length);
    return std::size_t(place < length ? place : 2 * length - 1 - place);
}

/// A golden input mirrored, or cut, until it is of this shape.
Tensor filled(const Tensor& had, const Shape& shape) {
    if (shape.size() != 4) return had;
    Tensor full{shape, std::vector<float>(std::size_t(count_of(shape)))};
    auto to = full.values.begin();
    const auto tall = std::size_t(had.shape.at(2)), wide = std::size_t(had.shape.at(3));
    for (std::int64_t plane = 0; plane < shape[0] * shape[1]; ++plane)
        for (std::int64_t row = 0; row < shape[2]; ++row) {
            const auto above = std::size_t(plane) * tall + mirrored(row, had.shape[2]);
            for (std::int64_t column = 0; column < shape[3]; ++column)
                *to++ = had.values.at(above * wide + mirrored(column, had.shape[3]));
        }
    return full;
}

/// What a file makes of the frames.
std::vector<Tensors> unrolled(Compiled& file, const Signature& signature,
                              const std::vector<Tensors>& sample, const Shapes& shapes) {
    std::vector<Tensors> made;
    Tensors state = start_of(signature, shapes);
    for (const Tensors& frame : sample) {
        Tensors inputs = state;
        for (const auto& [name, tensor] : frame) inputs[name] = filled(tensor, shapes.at(name));
        made.push_back(run(file, inputs));
        state = carried_of(signature, made.back());
    }
    return made;
}

std::string kept(const Tensor& tensor, bool is_bytes) {
    std::string content(tensor.values.size() * (is_bytes ? 1 : sizeof(float)), '\0');
    if (is_bytes)
        enter(tensor, Io::UINT8_NCHW, reinterpret_cast<std::uint8_t*>(content.data()));
    else if (!content.empty())
        std::memcpy(content.data(), tensor.values.data(), content.size());
    return content;
}

float value_at(const std::string& content, std::size_t at, bool is_bytes) {
    if (is_bytes) return static_cast<unsigned char>(content[at]);
    float value;
    std::memcpy(&value, content.data() + at * sizeof(float), sizeof(float));
    return value;
}

/// The largest and the mean difference of an output's window.
std::pair<double, double> apart(const Tensor& tensor, const std::string& made,
                                const Known& known) {
    const Array& window = known.window;
    const Shape &whole = tensor.shape, &sides = window.shape, &at = known.at;
    const auto is_finite = [](float value) { return std::isfinite(value); };
    const bool fits = whole.size() == 4 && sides.size() == 4 && at.size() == 2 &&
                      whole[0] == sides[0] && whole[1] == sides[1] && at[0] >= 0 && at[1] >= 0 &&
                      at[0] + sides[2] <= whole[2] && at[1] + sides[3] <= whole[3];
    if (!fits || !std::all_of(tensor.values.begin(), tensor.values.end(), is_finite))
        return {NEVER, NEVER};
    double largest = 0, sum = 0, peak = window.is_bytes ? 255 : 1;
    std::size_t place = 0;
    for (std::int64_t plane = 0; plane < sides[0] * sides[1]; ++plane)
        for (std::int64_t row = 0; row < sides[2]; ++row)
            for (std::int64_t column = 0; column < sides[3]; ++column, ++place) {
                const auto there = std::size_t(
                    (plane * whole[2] + at[0] + row) * whole[3] + at[1] + column);
                const double golden = value_at(window.content, place, window.is_bytes);
                const double apart = std::abs(value_at(made, there, window.is_bytes) - golden);
                largest = std::max(largest, apart), sum += apart;
                peak = std::max(peak, std::abs(golden));
            }
    return {largest / peak, sum / peak / double(std::max<std::size_t>(place, 1))};
}

/// `<frame>.<port>`.
std::pair<std::size_t, std::string> frame_and_port(const std::string& key) {
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos || dot > 2)
        throw std::runtime_error("it names no frame and port");
    return {std::stoul(key.substr(0, dot)), key.substr(dot + 1)};
}

Made made_of(const nlohmann::json& said, const std::string& file,
             const std::map<std::string, Array>& arrays) {
    Made made;
    made.engine = said.at("engine").get<std::string>();
    made.engine_version = said.at("engine_version").get<std::string>();
    made.device = said.at("device").get<std::string>();
    made.height = said.at("size").at(0).get<std::int64_t>();
    made.width = said.at("size").at(1).get<std::int64_t>();
    made.largest = said.at("largest").get<double>();
    made.mean = said.at("mean").get<double>();
    for (const auto& [key, output] : said.at("outputs").items()) {
        Known known;
        std::tie(known.frame, known.port) = frame_and_port(key);
        known.sha256 = output.at("sha256").get<std::string>();
        known.shape = output.at("shape").get<Shape>();
        known.at = output.at("at").get<Shape>();
        known.window = arrays.at(file + "." + key);
        made.outputs.push_back(std::move(known));
    }
    return made;
}

}  // namespace

Golden read_golden(const Manifest& manifest) {
    const nlohmann::json said = manifest.json(GOLDEN);
    const std::string given = "given.";
    Golden golden;
    try {
        const auto arrays = read_npz(manifest.read(ARRAYS));
        for (const auto& [name, array] : arrays) {
            if (name.rfind(given, 0) != 0) continue;
            const auto [frame, port] = frame_and_port(name.substr(given.size()));
            if (golden.sample.size() <= frame) golden.sample.resize(frame + 1);
            golden.sample[frame][port] = numbers_of(array);
        }
        for (const auto& [file, made] : said.items())
            golden.made[file] = made_of(made, file, arrays);
    } catch (const Compressed&) {
        throw;
    } catch (const std::exception& error) {
        throw BadBundle(std::string("it cannot be read (") + error.what() + "): export it again");
    }
    return golden;
}

Match match(const std::vector<Tensors>& sample, const Made& made, const std::string& onnx,
            const Signature& signature, const Engine& engine) {
    Shapes shapes;
    for (const Port& port : signature.inputs)
        shapes[port.name] = shape_of(port, made.height, made.width);
    const auto ready = compiled(engine, onnx, shapes, 1);
    const auto frames = unrolled(*ready, signature, sample, shapes);
    Match match;
    for (const Known& known : made.outputs) {
        const Tensor& tensor = frames.at(known.frame).at(known.port);
        const std::string content = kept(tensor, known.window.is_bytes);
        match.exact &= tensor.shape == known.shape && sha256(content) == known.sha256;
        const auto [largest, mean] = apart(tensor, content, known);
        match.largest = std::max(match.largest, largest);
        match.mean += mean / double(made.outputs.size());
    }
    return match;
}

}  // namespace freeway
