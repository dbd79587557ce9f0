/// The engines that run a file, each behind the same few words.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "freeway.hpp"

namespace freeway {

using Shape = std::vector<std::int64_t>;
using Shapes = std::map<std::string, Shape>;

/// How a tensor lies in a file: numbers (N, C, H, W) or (N, C); or levels of 8 bits, channels
/// first or last.
enum class Io { FLOAT_NCHW, UINT8_NCHW, UINT8_NHWC };

/// An input or output of a file, of which -1 is a side that is not fixed.
struct Entry {
    std::string name;
    bool is_bytes = false;
    Shape shape;
};

/// A file that is compiled for one shape of each input.
class Compiled {
public:
    virtual ~Compiled() = default;
    /// Run once; both lists follow `inputs` and `outputs`, and hold what these shapes need.
    virtual void run(const std::vector<const void*>& given, const std::vector<void*>& made) = 0;

    std::vector<Entry> inputs, outputs;
    /// How each of the inputs enters the file, and how each of the outputs leaves it.
    std::vector<Io> enters, leaves;
};

/// The engine runs this file at its own size only; the message says which.
struct OneSize : Refused {
    OneSize(const Shapes& has, const Shapes& wanted, const std::string& otherwise);
    /// Of each input by name, (N, C, h, w) or (N, C), as the file has them.
    Shapes shapes;
};

/// What compiles files and runs them.
struct Engine {
    std::string name;
    std::string (*version)();
    /// The file at the shapes (N, C, h, w) or (N, C) of its inputs by name. Throws `OneSize` where
    /// the engine cannot run it at this size.
    std::unique_ptr<Compiled> (*compile)(const std::string& onnx, const Shapes& shapes,
                                         int threads);
};

#ifdef FREEWAY_OPENVINO
extern const Engine OPENVINO;
#endif
#ifdef FREEWAY_ONNXRUNTIME
extern const Engine ONNXRUNTIME;
#endif

/// What was built in, in the order in which engines are tried.
const std::vector<Engine>& built_in();

/// The engine of this name; throws `Refused` where it is not built in.
const Engine& engine_of(const std::string& name);

/// A file compiled by an engine, with how its inputs enter and its outputs leave.
std::unique_ptr<Compiled> compiled(const Engine& engine, const std::string& onnx,
                                   const Shapes& shapes, int threads);

/// How a picture of so many channels enters a file.
Io io_of(const Entry& entry, std::int64_t channels);

/// (N, C, h, w) as a file has it, and back.
Shape in_file(const Shape& shape, Io io);
Shape of_file(const Shape& shape, Io io);

std::int64_t count_of(const Shape& shape);

/// Numbers as a file takes them; levels are rounded and clipped.
void enter(const Tensor& values, Io io, std::uint8_t* levels);
/// Levels of a file as numbers (N, C, H, W) of the shape that the tensor has.
void leave(const std::uint8_t* levels, Io io, Tensor& values);

/// All inputs by name -> all outputs by name, numbers, whatever the file takes.
Tensors run(Compiled& file, const Tensors& inputs);

}  // namespace freeway
