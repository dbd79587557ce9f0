// How a file is timed for its receipt, and what is left out here: the network runs by itself, not
// between calls of a reference network, so what the machine does besides is not divided out.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <random>

#include "description.hpp"
#include "program.hpp"

namespace freeway {
namespace {

constexpr double WARM_UP_MS = 100, ROUND_MS = 12, BUDGET_MS = 3000;
constexpr std::size_t FEWEST_ROUNDS = 12, MOST_ROUNDS = 400;
constexpr double HALF_WIDTH = 0.01;

double wall_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(now).count();
}

/// Processor time of this process where one thread runs, which hardly moves when others take the
/// core away; else the time on the wall.
double clock_ms(int threads) {
    return threads == 1 ? 1e3 * double(std::clock()) / CLOCKS_PER_SEC : wall_ms();
}

double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// A 95 % interval of the median between two order statistics; the ranks are those of the normal
/// distribution in place of the binomial one, for there are at least twelve values.
std::pair<double, double> interval_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const double count = double(values.size());
    const auto low = std::size_t(std::max(0.0, std::floor(count / 2 - 0.98 * std::sqrt(count))));
    return {values[low], values[values.size() - 1 - low]};
}

/// A call of one whole frame, on noise: no kernel takes a short cut.
std::function<void()> frame_of(Network& network) {
    std::mt19937 dice(0);
    const Signature& signature = network.signature();
    const std::int64_t height = network.receipt().height, width = network.receipt().width;
    if (signature.makes_frames() && height > 0) {
        Picture frame{int(height), int(width), int(signature.given()[0].channels), {}};
        frame.levels.resize(std::size_t(height * width) * std::size_t(frame.channels));
        for (auto& level : frame.levels) level = std::uint8_t(dice());
        return [&network, frame, made = Picture{}]() mutable { network(frame, made); };
    }
    const Port& first = signature.inputs[0];
    const std::int64_t tall = first.is_vector() ? 0 : height * first.denominator / first.numerator;
    const std::int64_t wide = first.is_vector() ? 0 : width * first.denominator / first.numerator;
    if (!first.is_vector() && height == 0)
        throw Refused("the receipt tells no size: export the bundle again");
    Tensors frame;
    for (const Port& port : signature.given()) {
        const Shape shape = shape_of(port, tall, wide);
        Tensor tensor{shape, std::vector<float>(std::size_t(count_of(shape)))};
        for (float& value : tensor.values) value = float(dice() >> 8) / float(1 << 24);
        frame[port.name] = std::move(tensor);
    }
    return [&network, frame]() { network(frame); };
}

std::vector<double> rounds_of(const std::function<void()>& frame, int threads) {
    double begun = wall_ms();
    std::vector<double> warm;
    while (warm.empty() || wall_ms() - begun < WARM_UP_MS) {
        const double before = wall_ms();
        frame();
        warm.push_back(wall_ms() - before);
    }
    const int runs = int(std::clamp(ROUND_MS / std::max(warm.back(), 1e-3), 1.0, 64.0));
    std::vector<double> rounds;
    begun = wall_ms();
    while (rounds.size() < FEWEST_ROUNDS ||
           (rounds.size() < MOST_ROUNDS && wall_ms() - begun < BUDGET_MS)) {
        std::vector<double> round;
        for (int run = 0; run < runs; ++run) {
            const double before = clock_ms(threads);
            frame();
            round.push_back(clock_ms(threads) - before);
        }
        rounds.push_back(median_of(round));
        if (rounds.size() < FEWEST_ROUNDS) continue;
        const auto [low, high] = interval_of(rounds);
        if (high - low < 2 * HALF_WIDTH * median_of(rounds)) break;
    }
    return rounds;
}

}  // namespace

int time_frames(const std::filesystem::path& bundle, Options options) {
    const bool as_receipt = options.threads == 0;
    if (as_receipt) options.threads = 1;
    Network network = load(bundle, options);
    if (as_receipt && network.receipt().threads > 1) {
        options.threads = network.receipt().threads;
        network = load(bundle, options);
    }
    const Receipt& receipt = network.receipt();
    const auto rounds = rounds_of(frame_of(network), options.threads);
    const auto [low, high] = interval_of(rounds);
    const double median = median_of(rounds);
    const auto told = [](const std::string& line) { std::printf("%s\n", line_of(line).c_str()); };
    told(network.precision() + " on " + network.engine() + " " + network.engine_version() +
         ", threads: " + std::to_string(options.threads) + ", " +
         (options.threads == 1 ? "processor" : "wall") + " time");
    std::printf("frame in, frame out  %.4g ms (%.4g to %.4g), median of %zu rounds\n", median, low,
                high, rounds.size());
    std::printf("receipt              %.4g ms (%.4g to %.4g)", receipt.median_ms,
                receipt.ci_low_ms, receipt.ci_high_ms);
    if (receipt.as_taken_ms > 0)
        std::printf(", %.4g before the machine's load was divided out", receipt.as_taken_ms);
    std::printf(": x%.3f\n", median / receipt.median_ms);
    told("receipt's machine    " + receipt.device + ", " + receipt.engine + " " +
         receipt.engine_version + ", threads: " + std::to_string(receipt.threads));
    return 0;
}

}  // namespace freeway
