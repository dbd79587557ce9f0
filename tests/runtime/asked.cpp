// What the tests ask of the library: `sha256 FILE`, `engines`, `ports BUNDLE FRAMES.npz ENGINE`,
// `reused BUNDLE HEIGHT WIDTH`.
#include <freeway.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "npz.hpp"
#include "sha256.hpp"

namespace {

std::string content_of(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void tell(const freeway::Network& network, const freeway::Tensors& made) {
    for (const freeway::Port& port : network.signature().outputs) {
        const auto& values = made.at(port.name).values;
        std::fwrite(values.data(), sizeof(float), values.size(), stdout);
    }
}

/// All outputs of each frame, and those of the first one again after a reset.
int ports(const char* bundle, const char* file, const char* engine) {
    freeway::Options options;
    options.engine = engine;
    freeway::Network network = freeway::load(bundle, options);
    std::vector<freeway::Tensors> frames;
    for (const auto& [name, array] : freeway::read_npz(content_of(file))) {
        const auto frame = std::size_t(name[0] - '0');
        if (frames.size() <= frame) frames.resize(frame + 1);
        const auto* values = reinterpret_cast<const float*>(array.content.data());
        frames[frame][name.substr(2)] = {
            array.shape, {values, values + array.content.size() / sizeof(float)}};
    }
    for (const auto& frame : frames) tell(network, network(frame));
    network.reset();
    tell(network, network(frames[0]));
    return 0;
}

/// A network that is moved, and a picture whose memory is used for another size.
int reused(const char* bundle, int height, int width) {
    freeway::Network first = freeway::load(bundle);
    freeway::Network network = std::move(first);
    freeway::Picture made;
    for (const int larger : {8, 0}) {
        freeway::Picture frame{height + larger, width, 3, {}};
        frame.levels.assign(std::size_t(frame.height * frame.width * 3), 77);
        network(frame, made);
        if (network(frame).levels != made.levels) return 1;
    }
    std::cout << made.height << 'x' << made.width << 'x' << made.channels << '\n';
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const std::string verb = count > 1 ? words[1] : "";
    try {
        if (verb == "sha256") std::cout << freeway::sha256(content_of(words[2])) << '\n';
        if (verb == "engines")
            for (const std::string& name : freeway::engines()) std::cout << name << '\n';
        if (verb == "ports") return ports(words[2], words[3], words[4]);
        if (verb == "reused") return reused(words[2], std::stoi(words[3]), std::stoi(words[4]));
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 2;
    }
    return 0;
}
