/// The golden input of a bundle, and what each of its files made of it where it was exported.
#pragma once

#include "description.hpp"
#include "npz.hpp"

namespace freeway {

inline constexpr const char* ARRAYS = "golden.npz";
inline constexpr const char* GOLDEN = "golden.json";

/// How near an output is to the golden one; the largest and the mean difference are over the
/// largest value where that is above 1, and infinite where the output is no number or another
/// shape.
struct Match {
    bool exact = true;
    double largest = 0, mean = 0;
};

/// What is known of one output of a file: its shape, where its window lies, the whole one's hash.
struct Known {
    std::size_t frame = 0;
    std::string port, sha256;
    Shape shape, at;
    Array window;
};

/// What one file made of the golden input.
struct Made {
    std::string engine, engine_version, device;
    /// Height and width of the deployment that the file is for.
    std::int64_t height = 0, width = 0;
    /// How far another engine's output may be from it, at any value and in the mean.
    double largest = 0, mean = 0;
    std::vector<Known> outputs;
};

struct Golden {
    /// Of each frame the inputs by port.
    std::vector<Tensors> sample;
    /// By the names of the files, without `.onnx`.
    std::map<std::string, Made> made;
};

/// Of `golden.npz` and `golden.json`. Throws `Compressed`; `BadBundle` where it is something else.
Golden read_golden(const Manifest& manifest);

/// Run a file over the golden frames, mirrored or cut until they fill its inputs, and hold what it
/// makes against what the bundle has.
Match match(const std::vector<Tensors>& sample, const Made& made, const std::string& onnx,
            const Signature& signature, const Engine& engine);

}  // namespace freeway
