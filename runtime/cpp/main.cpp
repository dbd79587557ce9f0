#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>

#include "portable_pictures.hpp"
#include "program.hpp"

namespace freeway {

std::string line_of(const std::string& told) {
    std::string line;
    for (const char c : told) {
        const auto byte = static_cast<unsigned char>(c);
        line += byte < 0x20 || byte == 0x7f ? '?' : c;
    }
    return line;
}

namespace {

const char* const USAGE = R"(usage: freeway verify BUNDLE
       freeway time BUNDLE
       freeway run BUNDLE IN.ppm OUT.ppm
       freeway run BUNDLE --size WxH < frames > frames

BUNDLE is the folder of a winner.

verify  every file against its hash, and the golden outputs on the engines that were built in
time    the median of a whole frame, and the receipt's figure beside it
run     a binary PPM or PGM; or raw frames of 8 bits one after the other, of which a network that
        carries a state remembers the earlier ones: rgb24, gray for a network of luma, yuv420p for
        one of ycbcr420

  --precision P   of the bundle's files; the fastest by their receipts where it is not given
  --engine E      the one that the bundle was timed on where it is not given
  --threads N     of the engine; 1, or for `time` as the receipt has it
  --tile N        the longest side of the tiles that pictures are cut into

The exit code is 0; 1 where a check failed or frames ended early; 2 where nothing could be done.
)";

constexpr std::int64_t MOST_PIXELS = std::int64_t{1} << 29;

/// The command is wrong; the message says what to do.
struct Mistake : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Asked {
    std::vector<std::string> words;
    Options options;
    std::optional<std::pair<int, int>> size;
};

int number_of(const std::string& option, const std::string& value) {
    char* end = nullptr;
    errno = 0;
    const long number = std::strtol(value.c_str(), &end, 10);
    if (value.empty() || *end || errno || number < 1 || number > 1 << 20)
        throw Mistake(option + " is '" + value + "': give a whole number above 0");
    return int(number);
}

std::pair<int, int> size_of(const std::string& value) {
    const std::size_t x = value.find('x');
    if (x == std::string::npos) throw Mistake("--size is '" + value + "': give WxH, as 640x360");
    const int width = number_of("--size", value.substr(0, x));
    const int height = number_of("--size", value.substr(x + 1));
    if (std::int64_t{width} * height > MOST_PIXELS)
        throw Mistake("--size is '" + value + "': such frames do not fit into memory");
    return {width, height};
}

Asked asked_by(const std::vector<std::string>& arguments) {
    Asked asked;
    asked.options.threads = 0;
    for (std::size_t k = 0; k < arguments.size(); ++k) {
        const std::string& word = arguments[k];
        if (word.rfind("--", 0) != 0) {
            asked.words.push_back(word);
            continue;
        }
        if (k + 1 == arguments.size()) throw Mistake(word + " needs a value");
        const std::string& value = arguments[++k];
        if (word == "--precision") asked.options.precision = value;
        else if (word == "--engine") asked.options.engine = value;
        else if (word == "--threads") asked.options.threads = number_of(word, value);
        else if (word == "--tile") asked.options.tile = number_of(word, value);
        else if (word == "--size") asked.size = size_of(value);
        else throw Mistake(word + " is not known: see freeway --help");
    }
    return asked;
}

void write_out(const std::vector<std::uint8_t>& bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) < bytes.size())
        throw Refused(std::string("frames cannot be written: ") + std::strerror(errno));
}

/// Raw frames from the standard input to the standard output.
int stream(Network& network, int width, int height) {
    const Signature& signature = network.signature();
    if (!signature.makes_frames())
        throw Refused("this network does not make one picture of one: call it from C++");
    const bool is_yuv = network.planes() == "ycbcr420";
    const auto pixels = std::size_t(height) * std::size_t(width);
    const auto channels = int(signature.given()[0].channels);
    Picture frame{height, width, channels, {}}, made;
    std::vector<std::uint8_t> bytes(is_yuv ? pixels * 3 / 2 : pixels * std::size_t(channels));
    for (;;) {
        const std::size_t got = std::fread(bytes.data(), 1, bytes.size(), stdin);
        if (got == 0 && !std::ferror(stdin)) break;
        if (got < bytes.size()) {
            std::fprintf(stderr, "freeway: the last frame ends after %zu of %zu bytes: is --size "
                         "right?\n", got, bytes.size());
            return 1;
        }
        if (is_yuv) {
            network(of_yuv420(bytes, height, width), made);
            write_out(as_yuv420(made));
            continue;
        }
        frame.levels.swap(bytes);
        network(frame, made);
        frame.levels.swap(bytes);
        write_out(made.levels);
    }
    if (std::fflush(stdout) != 0)
        throw Refused(std::string("frames cannot be written: ") + std::strerror(errno));
    return 0;
}

int run_pictures(Asked asked) {
    if (asked.options.threads == 0) asked.options.threads = 1;
    if (asked.words.size() != (asked.size ? 2 : 4))
        throw Mistake("give freeway run BUNDLE IN.ppm OUT.ppm, or freeway run BUNDLE --size WxH");
    Network network = load(asked.words[1], asked.options);
    if (asked.size) return stream(network, asked.size->first, asked.size->second);
    write_picture(asked.words[3], network(read_picture(asked.words[2])));
    return 0;
}

int done(const std::vector<std::string>& arguments) {
    const Asked asked = asked_by(arguments);
    const std::string verb = asked.words.empty() ? "" : asked.words[0];
    if (verb == "run") return run_pictures(asked);
    if (verb != "verify" && verb != "time")
        throw Mistake("give verify, time or run: see freeway --help");
    if (asked.words.size() != 2 || asked.size) throw Mistake("give freeway " + verb + " BUNDLE");
    return verb == "verify" ? verify(asked.words[1]) : time_frames(asked.words[1], asked.options);
}

}  // namespace
}  // namespace freeway

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    if (count == 1 || arguments[0] == "--help" || arguments[0] == "-h") {
        std::fputs(freeway::USAGE, count == 1 ? stderr : stdout);
        return count == 1 ? 2 : 0;
    }
    try {
        return freeway::done(arguments);
    } catch (const std::exception& error) {
        std::cerr << "freeway: " << freeway::line_of(error.what()) << std::endl;
        return 2;
    }
}
