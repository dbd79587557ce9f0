/// Run a network that a search has left: a bundle's folder, loaded and ready for frames.
///
///     auto upscale = freeway::load("runs/photos/winners/1a2b3c4d");
///     freeway::Picture large = upscale(frame);
///
/// The folder is read by the same rules as `runtime.load` of Python reads it, and gives the same
/// values, to the last bit on the same engine and version.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace freeway {

/// The folder is no bundle, or is not what was exported; the message says what to do.
struct BadBundle : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What was asked for cannot be done; the message says what can.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A picture of 8 bits, row after row, the channels of a pixel side by side.
struct Picture {
    int height = 0, width = 0, channels = 0;
    std::vector<std::uint8_t> levels;
};

/// A frame of a video decoder, Y and then U and V of half its sides (yuv420p), as a network of
/// `ycbcr420` takes it: the four phases of Y and both colours as channels of half the size. Throws
/// `Refused` where a side is odd or the number of bytes is another one.
Picture of_yuv420(const std::vector<std::uint8_t>& planes, int height, int width);
/// And back.
std::vector<std::uint8_t> as_yuv420(const Picture& packed);

/// Numbers of shape (N, C, H, W), or (N, C) for a vector; those of pictures are in [0, 1].
struct Tensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
};

/// By port.
using Tensors = std::map<std::string, Tensor>;

/// One input or output of a network.
struct Port {
    std::string name;
    std::int64_t channels = 0;
    /// Its height and width over the deployment's, as a fraction; 0 / 1 is a vector (N, channels).
    std::int64_t numerator = 1, denominator = 1;
    /// `image` has values in [0, 1], a `map` any; a `state` is carried from frame to frame.
    std::string kind = "image";

    bool is_vector() const { return numerator == 0; }
};

/// The inputs and outputs of a network, in the order in which its file lists them.
struct Signature {
    std::vector<Port> inputs, outputs;
    /// An output, and the input that takes it at the next frame; zeros at the first one.
    std::map<std::string, std::string> carried;

    /// The inputs that come from outside at every frame.
    std::vector<Port> given() const;
    /// How much larger the first output is than the deployment; 1 for a vector or a share.
    std::int64_t scale() const;
    /// Whether it makes of each frame one that is as large or a whole number of times as large.
    bool makes_frames() const;
};

/// What was measured of a file when it was exported; what an older bundle lacks is 0 or empty.
struct Receipt {
    std::string engine, engine_version, device, clock;
    int threads = 1;
    double median_ms = 0, ci_low_ms = 0, ci_high_ms = 0;
    /// The median as it was taken, before what the machine did besides was divided out.
    double as_taken_ms = 0;
    /// Height and width of the first input; 0 for a vector.
    std::int64_t height = 0, width = 0;
};

/// How a bundle is loaded.
struct Options {
    /// Of the bundle's files; the fastest by their receipts when empty.
    std::string precision;
    /// One of `engines()`; the one that the bundle was timed on when empty, never another one in
    /// its place.
    std::string engine;
    int threads = 1;
    /// The longest side of the tiles that pictures are cut into; 0 cuts only those of more than
    /// two million pixels.
    int tile = 0;
};

/// A network that is ready to run. What it carries from frame to frame stays in it until `reset`,
/// so one of them is for one stream and one thread at a time.
class Network {
public:
    /// A frame (h, w, C) of any size -> (H, W, C); large ones are run in tiles.
    ///
    /// Throws `Refused` for another number of channels, or where the network takes or gives more
    /// than one picture; and where a network that carries a state is given another size.
    Picture operator()(const Picture& frame);

    /// The same into a picture whose memory is used again.
    void operator()(const Picture& frame, Picture& made);

    /// The inputs that come from outside at this frame, by port -> all outputs by port. Nothing is
    /// clipped or rounded.
    Tensors operator()(const Tensors& frame);

    /// Forget what was carried: the next frame is a first one.
    void reset();

    const Signature& signature() const;
    const Receipt& receipt() const;
    /// What a picture is to it: `rgb`, `luma` or `ycbcr420`; empty where its channels are none.
    const std::string& planes() const;
    const std::string& precision() const;
    const std::string& engine() const;
    /// The engine's release and build.
    std::string engine_version() const;

    Network(Network&&) noexcept;
    Network& operator=(Network&&) noexcept;
    ~Network();

private:
    struct Inside;
    explicit Network(std::unique_ptr<Inside> inside);
    friend Network load(const std::filesystem::path& bundle, const Options& options);
    std::unique_ptr<Inside> inside_;
};

/// Load a winner's folder. Throws `BadBundle` where it is none, is of a later version, names files
/// elsewhere or holds a file that is not what was exported; `Refused` where it has no such
/// precision or its engine was not built in.
Network load(const std::filesystem::path& bundle, const Options& options = {});

/// The engines that this library was built with, in the order in which they are tried.
std::vector<std::string> engines();

}  // namespace freeway
