// Source: "Secure Hash Standard", FIPS 180-4, 2015: functions 4.1.2, constants 4.2.2 and 5.3.3,
// padding 5.1.1, computation 6.2.

#include "sha256.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace freeway {
namespace {

using Word = std::uint32_t;

// The first 32 bits of the fractions of the cube roots of the first 64 primes.
constexpr Word K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
constexpr std::size_t BLOCK = 64, LENGTH = 8;

Word rotated(Word x, int by) { return x >> by | x << (32 - by); }

void take(std::array<Word, 8>& hash, const unsigned char* block) {
    Word w[64];
    for (int t = 0; t < 16; ++t)
        w[t] = Word(block[4 * t]) << 24 | Word(block[4 * t + 1]) << 16 |
               Word(block[4 * t + 2]) << 8 | Word(block[4 * t + 3]);
    for (int t = 16; t < 64; ++t) {
        const Word near = w[t - 2], far = w[t - 15];
        w[t] = (rotated(near, 17) ^ rotated(near, 19) ^ near >> 10) + w[t - 7] +
               (rotated(far, 7) ^ rotated(far, 18) ^ far >> 3) + w[t - 16];
    }
    auto [a, b, c, d, e, f, g, h] = hash;
    for (int t = 0; t < 64; ++t) {
        const Word one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                         ((e & f) ^ (~e & g)) + K[t] + w[t];
        const Word two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
                         ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + one;
        d = c, c = b, b = a, a = one + two;
    }
    const Word after[] = {a, b, c, d, e, f, g, h};
    for (int k = 0; k < 8; ++k) hash[k] += after[k];
}

}  // namespace

std::string sha256(std::string_view content) {
    std::array<Word, 8> hash = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const auto* bytes = reinterpret_cast<const unsigned char*>(content.data());
    std::size_t at = 0;
    for (; content.size() - at >= BLOCK; at += BLOCK) take(hash, bytes + at);
    // The rest, a bit, zeros, and the length in bits fill one block or two.
    unsigned char end[2 * BLOCK] = {};
    const std::size_t left = content.size() - at;
    if (left) std::memcpy(end, bytes + at, left);
    end[left] = 0x80;
    const std::size_t size = left + 1 + LENGTH <= BLOCK ? BLOCK : 2 * BLOCK;
    const auto bits = static_cast<std::uint64_t>(content.size()) * 8;
    for (std::size_t k = 0; k < LENGTH; ++k)
        end[size - 1 - k] = static_cast<unsigned char>(bits >> (8 * k));
    for (std::size_t block = 0; block < size; block += BLOCK) take(hash, end + block);
    std::string told;
    for (const Word word : hash)
        for (int shift = 28; shift >= 0; shift -= 4)
            told += "0123456789abcdef"[word >> shift & 15];
    return told;
}

}  // namespace freeway
