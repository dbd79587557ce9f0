// What is looked through is the wire format of protocol buffers
// (protobuf.dev/programming-guides/encoding) with the numbers that onnx.proto3 gives its fields;
// runtime/external.py reads it by the same table.

#include "external.hpp"

#include <cstdint>
#include <map>
#include <stdexcept>
#include <utility>

namespace freeway {
namespace {

enum Kind { MODEL, TRAINING, FUNCTION, GRAPH, NODE, ATTRIBUTE, SPARSE, TENSOR };

// Which messages lie in which, by the number of the field.
const std::map<std::pair<Kind, std::uint64_t>, Kind> INSIDE = {
    {{MODEL, 7}, GRAPH},       {{MODEL, 20}, TRAINING},    {{MODEL, 25}, FUNCTION},
    {{TRAINING, 1}, GRAPH},    {{TRAINING, 2}, GRAPH},     {{FUNCTION, 7}, NODE},
    {{FUNCTION, 11}, ATTRIBUTE}, {{GRAPH, 1}, NODE},       {{GRAPH, 5}, TENSOR},
    {{GRAPH, 15}, SPARSE},     {{NODE, 5}, ATTRIBUTE},     {{ATTRIBUTE, 5}, TENSOR},
    {{ATTRIBUTE, 6}, GRAPH},   {{ATTRIBUTE, 10}, TENSOR},  {{ATTRIBUTE, 11}, GRAPH},
    {{ATTRIBUTE, 22}, SPARSE}, {{ATTRIBUTE, 23}, SPARSE},  {{SPARSE, 1}, TENSOR},
    {{SPARSE, 2}, TENSOR},
};
constexpr std::uint64_t EXTERNAL_DATA = 13, DATA_LOCATION = 14, EXTERNAL = 1;
constexpr std::uint64_t KEY = 1, VALUE = 2;
constexpr int VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5;

struct Field {
    std::uint64_t number = 0, value = 0;
    bool is_bytes = false;
    std::string_view bytes;
};

std::uint64_t varint(std::string_view message, std::size_t& at) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (at >= message.size()) throw std::runtime_error("its end is missing");
        const auto byte = static_cast<unsigned char>(message[at++]);
        if (shift < 64) value |= std::uint64_t(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    throw std::runtime_error("it cannot be parsed");
}

/// The fields of a message; of what is neither a number nor bytes only the number is told.
std::vector<Field> fields(std::string_view message) {
    std::vector<Field> found;
    for (std::size_t at = 0; at < message.size();) {
        const std::uint64_t tag = varint(message, at);
        Field field;
        field.number = tag >> 3;
        std::uint64_t size = 0;
        switch (tag & 7) {
            case VARINT: field.value = varint(message, at); break;
            case BYTES: size = varint(message, at), field.is_bytes = true; break;
            case FIXED32: size = 4; break;
            case FIXED64: size = 8; break;
            default: throw std::runtime_error("it cannot be parsed");
        }
        if (size > message.size() - at) throw std::runtime_error("its end is missing");
        if (field.is_bytes) field.bytes = message.substr(at, size);
        at += size;
        found.push_back(field);
    }
    return found;
}

void add_places(std::string_view tensor, std::vector<std::string>& places) {
    bool is_external = false, is_named = false;
    for (const Field& field : fields(tensor)) {
        is_external |= field.number == DATA_LOCATION && field.value == EXTERNAL;
        if (field.number != EXTERNAL_DATA || !field.is_bytes) continue;
        is_external = true;
        std::string key, value;
        for (const Field& part : fields(field.bytes)) {
            if (part.number == KEY) key = part.bytes;
            if (part.number == VALUE) value = part.bytes;
        }
        if (key == "location") places.push_back(value), is_named = true;
    }
    if (is_external && !is_named) places.push_back("another file");
}

}  // namespace

std::vector<std::string> external_data(std::string_view onnx) {
    std::vector<std::string> places;
    std::vector<std::pair<Kind, std::string_view>> left = {{MODEL, onnx}};
    while (!left.empty()) {
        const auto [kind, message] = left.back();
        left.pop_back();
        if (kind == TENSOR) {
            add_places(message, places);
            continue;
        }
        for (const Field& field : fields(message)) {
            const auto inner = INSIDE.find({kind, field.number});
            if (field.is_bytes && inner != INSIDE.end())
                left.emplace_back(inner->second, field.bytes);
        }
    }
    return places;
}

}  // namespace freeway
