#include "description.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace freeway {
namespace {

using nlohmann::json;

const std::set<std::string> CLASSIFIERS = {"classifier", "mobilenet_v1", "mobilenet_v2"};
// Margin and multiple that are safe for whatever the search spaces propose.
constexpr std::int64_t USUAL_MARGIN = 80, USUAL_MULTIPLE = 2;
constexpr std::int64_t DEEPEST_MARGIN = 240, DEEPEST_MULTIPLE = 8;

[[noreturn]] void contradict(const std::string& what) { throw std::runtime_error(what); }

void require(const Port& port) {
    if (port.name.empty()) contradict("a port has no name");
    if (port.channels < 1) contradict("the port " + port.name + " has no channels");
    if (port.numerator < 0 || port.denominator < 1)
        contradict("the port " + port.name + " has a scale of none");
    if (port.kind != "image" && port.kind != "map" && port.kind != "state")
        contradict("the port " + port.name + " is '" + port.kind +
                   "': use one of image, map, state");
}

Port port_of(const json& said) {
    Port port;
    port.name = said.at("name").get<std::string>();
    port.channels = said.at("channels").get<std::int64_t>();
    port.kind = said.at("kind").get<std::string>();
    if (said.at("scale").is_null()) {
        port.numerator = 0;
    } else {
        const auto scale = said.at("scale").get<std::string>();
        const auto slash = scale.find('/');
        port.numerator = std::stoll(scale);
        if (slash != std::string::npos) port.denominator = std::stoll(scale.substr(slash + 1));
        if (port.numerator < 1) contradict("the port " + port.name + " has a scale of " + scale);
    }
    require(port);
    return port;
}

std::vector<Port> ports_of(const json& said) {
    std::vector<Port> ports;
    for (const json& port : said) ports.push_back(port_of(port));
    return ports;
}

const Port* named(const std::vector<Port>& ports, const std::string& name) {
    const auto found = std::find_if(ports.begin(), ports.end(),
                                    [&](const Port& port) { return port.name == name; });
    return found == ports.end() ? nullptr : &*found;
}

void require(const Signature& signature) {
    if (signature.inputs.empty() || signature.outputs.empty())
        contradict("a network needs an input and an output");
    std::set<std::string> names, readers;
    for (const auto* ports : {&signature.inputs, &signature.outputs})
        for (const Port& port : *ports)
            if (!names.insert(port.name).second) contradict("two ports are called " + port.name);
    for (const auto& [source, reader] : signature.carried) {
        const Port* made = named(signature.outputs, source);
        const Port* taken = named(signature.inputs, reader);
        if (!made || !taken)
            contradict(source + " is carried to " + reader +
                       ", and there is no such output or input");
        if (made->channels != taken->channels || made->numerator != taken->numerator ||
            made->denominator != taken->denominator)
            contradict(source + " is carried to " + reader + ", which is of another size");
        if (!readers.insert(reader).second) contradict("two outputs are carried to one input");
    }
    if (readers.size() == signature.inputs.size())
        contradict("every input is carried: nothing comes from outside");
}

/// A network of which only three numbers are told: one picture in, one picture or vector out.
Signature in_numbers(const json& architecture) {
    Port in, out;
    in.name = "input", out.name = "output";
    in.channels = architecture.at("in_channels").get<std::int64_t>();
    out.channels = architecture.at("out_channels").get<std::int64_t>();
    out.numerator = architecture.at("scale").get<std::int64_t>();
    if (CLASSIFIERS.count(architecture.at("skeleton").get<std::string>()))
        out.numerator = 0, out.kind = "map";
    require(in), require(out);
    return {{in}, {out}, {}};
}

Reach in_picture(const json& picture, const json& architecture) {
    Reach reach;
    const bool is_deep = architecture.value("skeleton", "") == "encoder_decoder";
    const json args = architecture.value("args", json::object());
    reach.multiple = is_deep ? DEEPEST_MULTIPLE : USUAL_MULTIPLE;
    if (args.value("reduction", json()) == "none") reach.multiple = 1;
    reach.multiple = picture.value("multiple", reach.multiple);
    if (reach.multiple < 1) contradict("its pictures divide by less than 1");
    const json margin = picture.value("margin", json());
    reach.is_known = margin.is_number_integer();
    const std::int64_t safe = is_deep ? DEEPEST_MARGIN : USUAL_MARGIN;
    reach.overlap = reach.is_known ? margin.get<std::int64_t>()
                                   : (safe + reach.multiple - 1) / reach.multiple * reach.multiple;
    if (reach.overlap < 0) contradict("its tiles overlap by less than 0");
    reach.planes = picture.value("planes", "");
    return reach;
}

Receipt in_receipt(const json& said) {
    Receipt receipt;
    receipt.engine = said.at("engine").get<std::string>();
    receipt.engine_version = said.value("engine_version", "");
    receipt.device = said.value("device", "");
    receipt.clock = said.value("clock", "");
    receipt.threads = said.value("threads", 1);
    receipt.median_ms = said.at("median_ms").get<double>();
    receipt.ci_low_ms = said.value("ci_low_ms", 0.0);
    receipt.ci_high_ms = said.value("ci_high_ms", 0.0);
    receipt.as_taken_ms =
        said.value(receipt.clock == "cpu" ? "cpu_median_ms" : "wall_median_ms", 0.0);
    const auto shape = said.value("input_shape", std::vector<std::int64_t>());
    if (shape.size() == 4) {
        const bool is_last = said.value("io", "") == "uint8_nhwc";
        receipt.height = shape[is_last ? 1 : 2], receipt.width = shape[is_last ? 2 : 3];
    }
    return receipt;
}

std::string listed(const std::vector<Port>& ports) {
    std::string told;
    for (const Port& port : ports) told += (told.empty() ? "" : ", ") + port.name;
    return told;
}

}  // namespace

std::vector<Port> Signature::given() const {
    std::vector<Port> found;
    for (const Port& port : inputs) {
        const auto reads = [&](const auto& pair) { return pair.second == port.name; };
        if (std::none_of(carried.begin(), carried.end(), reads)) found.push_back(port);
    }
    return found;
}

std::int64_t Signature::scale() const {
    return std::max<std::int64_t>(1, outputs[0].numerator / outputs[0].denominator);
}

bool Signature::makes_frames() const {
    const auto from_outside = given();
    const Port &in = from_outside[0], &out = outputs[0];
    const auto is_carried = [&](const Port& port) { return carried.count(port.name) > 0; };
    return from_outside.size() == 1 &&
           std::all_of(outputs.begin() + 1, outputs.end(), is_carried) && !out.is_vector() &&
           out.denominator == 1 && in.numerator == 1 && in.denominator == 1 &&
           in.kind == "image" && out.kind == "image";
}

Signature signature_of(const Manifest& manifest) {
    const json architecture = manifest.json(ARCHITECTURE);
    try {
        if (!architecture.contains("signature")) return in_numbers(architecture);
        const json& said = architecture.at("signature");
        Signature signature{ports_of(said.at("inputs")), ports_of(said.at("outputs")), {}};
        for (const auto& [source, reader] : said.at("carried").items())
            signature.carried[source] = reader.get<std::string>();
        require(signature);
        return signature;
    } catch (const std::exception& error) {
        throw BadBundle((manifest.folder / ARCHITECTURE).string() + " describes no network (" +
                        error.what() + "): export it again");
    }
}

Receipt receipt_of(const Manifest& manifest, const std::string& precision) {
    const json receipts = manifest.json(RECEIPTS);
    try {
        return in_receipt(receipts.at(precision));
    } catch (const std::exception&) {
        throw BadBundle((manifest.folder / RECEIPTS).string() + " has no receipt of " + precision +
                        " that can be read: export it again");
    }
}

Shape shape_of(const Port& port, std::int64_t height, std::int64_t width) {
    if (port.is_vector()) return {1, port.channels};
    const auto tall = height * port.numerator, wide = width * port.numerator;
    if (tall % port.denominator || wide % port.denominator)
        throw Refused("the port " + port.name + " is " + std::to_string(port.numerator) + "/" +
                      std::to_string(port.denominator) + " of " + std::to_string(height) + "x" +
                      std::to_string(width) + ": use a height and width that divide by " +
                      std::to_string(port.denominator));
    return {1, port.channels, tall / port.denominator, wide / port.denominator};
}

Shapes shapes_of(const Signature& signature, const Tensors& given) {
    const auto wanted = signature.given();
    std::int64_t height = 0, width = 0;
    for (const Port& port : wanted) {
        const auto found = given.find(port.name);
        if (found == given.end() || given.size() != wanted.size())
            throw Refused("give " + listed(wanted) + " at each frame, and nothing else");
        const auto& [shape, values] = found->second;
        const bool fits = shape.size() == (port.is_vector() ? 2 : 4) &&
                          shape[1] == port.channels && count_of(shape) > 0 &&
                          std::size_t(count_of(shape)) == values.size();
        if (!fits)
            throw Refused("the port " + port.name + " takes (1, " + std::to_string(port.channels) +
                          (port.is_vector() ? ")" : ", h, w)") + ", with as many values");
        if (height || port.is_vector()) continue;
        height = shape[2] * port.denominator / port.numerator;
        width = shape[3] * port.denominator / port.numerator;
    }
    Shapes shapes;
    for (const Port& port : signature.inputs) {
        shapes[port.name] = shape_of(port, height, width);
        const auto found = given.find(port.name);
        if (found != given.end() && found->second.shape != shapes[port.name])
            throw Refused("the port " + port.name + " is of another size than the others are of");
    }
    return shapes;
}

Tensors start_of(const Signature& signature, const Shapes& shapes) {
    Tensors zeros;
    for (const auto& [source, reader] : signature.carried) {
        const Shape& shape = shapes.at(reader);
        zeros[reader] = {shape, std::vector<float>(std::size_t(count_of(shape)))};
    }
    return zeros;
}

Tensors carried_of(const Signature& signature, const Tensors& outputs) {
    Tensors state;
    for (const auto& [source, reader] : signature.carried) state[reader] = outputs.at(source);
    return state;
}

Reach reach_of(const Manifest& manifest) {
    const json architecture = manifest.json(ARCHITECTURE);
    try {
        return in_picture(json::parse(manifest.picture), architecture);
    } catch (const std::exception& error) {
        throw BadBundle((manifest.folder / MANIFEST).string() + " is no manifest (" +
                        error.what() + "): export it again");
    }
}

}  // namespace freeway
