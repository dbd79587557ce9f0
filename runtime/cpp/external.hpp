/// Whether an ONNX file keeps its weights elsewhere, told without a library that reads ONNX.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace freeway {

/// Where tensors of an ONNX file lie outside of it; empty where it holds its own. Throws
/// `std::runtime_error` where it is no such file.
std::vector<std::string> external_data(std::string_view onnx);

}  // namespace freeway
