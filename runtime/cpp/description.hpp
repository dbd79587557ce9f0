/// What a bundle says of its network: its ports, how pictures may be cut for it, its receipts.
#pragma once

#include "engine.hpp"
#include "manifest.hpp"

namespace freeway {

/// Of `architecture.json`. Throws `BadBundle` where it describes no network.
Signature signature_of(const Manifest& manifest);

/// Of one of the bundle's precisions. Throws `BadBundle` where there is none that can be read.
Receipt receipt_of(const Manifest& manifest, const std::string& precision);

/// (1, C, H, W) where the deployment is of this size, (1, C) for a vector. Throws `Refused` where
/// its share of the size is no whole number.
Shape shape_of(const Port& port, std::int64_t height, std::int64_t width);

/// Of all inputs, the deployment being of the size that these are of. Throws `Refused` where a
/// given input is missing or of another shape, or there is one that the network does not take.
Shapes shapes_of(const Signature& signature, const Tensors& given);

/// Zeros of every carried input, as they are at the first frame.
Tensors start_of(const Signature& signature, const Shapes& shapes);

/// What the outputs of a frame carry to the next one.
Tensors carried_of(const Signature& signature, const Tensors& outputs);

/// How pictures may be cut for a network.
struct Reach {
    /// `rgb`, `luma` or `ycbcr420`; empty where its channels are none of these.
    std::string planes;
    /// Whether it is known how far an output sees beyond its own place.
    bool is_known = false;
    /// Both sides of a picture must divide by it.
    std::int64_t multiple = 1;
    /// The margin that tiles are given.
    std::int64_t overlap = 0;
};

/// What a manifest says; what is safe where an older one does not. Throws `BadBundle` where it is
/// no manifest.
Reach reach_of(const Manifest& manifest);

}  // namespace freeway
