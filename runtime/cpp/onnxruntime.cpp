#include <onnxruntime_cxx_api.h>

#include "engine.hpp"

namespace freeway {
namespace {

/// What a process has one of, made when the first file is compiled.
Ort::Env& environment() {
    static Ort::Env the_one(ORT_LOGGING_LEVEL_WARNING, "freeway");
    return the_one;
}

Entry entry_of(const std::string& name, const Ort::TypeInfo& info) {
    const auto tensor = info.GetTensorTypeAndShapeInfo();
    const auto type = tensor.GetElementType();
    const bool is_bytes = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    if (!is_bytes && type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
        throw Refused("the file has type " + std::to_string(type) + " of ONNX at " + name +
                      ": this library runs files of float and uint8");
    return {name, is_bytes, tensor.GetShape()};
}

class OnOnnxRuntime final : public Compiled {
public:
    explicit OnOnnxRuntime(Ort::Session session) : session_(std::move(session)) {
        Ort::AllocatorWithDefaultOptions own;
        for (std::size_t k = 0; k < session_.GetInputCount(); ++k)
            inputs.push_back(entry_of(session_.GetInputNameAllocated(k, own).get(),
                                      session_.GetInputTypeInfo(k)));
        for (std::size_t k = 0; k < session_.GetOutputCount(); ++k)
            outputs.push_back(entry_of(session_.GetOutputNameAllocated(k, own).get(),
                                       session_.GetOutputTypeInfo(k)));
        for (const Entry& entry : inputs) given_names_.push_back(entry.name.c_str());
        for (const Entry& entry : outputs) made_names_.push_back(entry.name.c_str());
    }

    void run(const std::vector<const void*>& given, const std::vector<void*>& made) override {
        std::vector<Ort::Value> in, out;
        for (std::size_t k = 0; k < given.size(); ++k)
            in.push_back(bound(inputs[k], const_cast<void*>(given[k])));
        for (std::size_t k = 0; k < made.size(); ++k) out.push_back(bound(outputs[k], made[k]));
        session_.Run(Ort::RunOptions{nullptr}, given_names_.data(), in.data(), in.size(),
                     made_names_.data(), out.data(), out.size());
    }

    /// Take these shapes of the inputs where the file leaves a side open, and learn those of the
    /// outputs by a run on zeros.
    void fix(const Shapes& shapes) {
        bool is_open = false;
        std::vector<std::vector<float>> zeros;
        std::vector<Ort::Value> in;
        for (Entry& entry : inputs) {
            const Shape& wanted = shapes.at(entry.name);
            const Shape now = in_file(wanted, io_of(entry, wanted[1]));
            is_open |= now != entry.shape;
            entry.shape = now;
            zeros.emplace_back(std::size_t(count_of(now)));
            in.push_back(bound(entry, zeros.back().data()));
        }
        if (!is_open) return;
        const auto made = session_.Run(Ort::RunOptions{nullptr}, given_names_.data(), in.data(),
                                       in.size(), made_names_.data(), made_names_.size());
        for (std::size_t k = 0; k < outputs.size(); ++k)
            outputs[k].shape = made[k].GetTensorTypeAndShapeInfo().GetShape();
    }

private:
    Ort::Value bound(const Entry& entry, void* values) {
        const auto count = std::size_t(count_of(entry.shape));
        return Ort::Value::CreateTensor(
            memory_, values, entry.is_bytes ? count : count * sizeof(float), entry.shape.data(),
            entry.shape.size(),
            entry.is_bytes ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
                           : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
    }

    Ort::Session session_;
    Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<const char*> given_names_, made_names_;
};

/// Whether a file's shape, of which a side may be open, is this one.
bool allows(const Shape& has, const Shape& wanted) {
    bool is_same = has.size() == wanted.size();
    for (std::size_t k = 0; is_same && k < has.size(); ++k)
        is_same = has[k] < 0 || has[k] == wanted[k];
    return is_same;
}

void require_size(const Compiled& file, const Shapes& shapes) {
    Shapes has;
    bool is_allowed = true;
    for (const Entry& entry : file.inputs) {
        const auto wanted = shapes.find(entry.name);
        if (wanted == shapes.end())
            throw BadBundle("the file takes " + entry.name + ", which " +
                            "its description does not: export it again");
        has[entry.name] = of_file(entry.shape, io_of(entry, wanted->second[1]));
        is_allowed &= allows(has[entry.name], wanted->second);
    }
    if (!is_allowed)
        throw OneSize(has, shapes, "onnxruntime runs it at that size only; engine='openvino' runs "
                      "it at others");
}

std::unique_ptr<Compiled> compile(const std::string& onnx, const Shapes& shapes, int threads) {
    try {
        Ort::SessionOptions options;
        options.SetIntraOpNumThreads(threads);
        auto file = std::make_unique<OnOnnxRuntime>(
            Ort::Session(environment(), onnx.data(), onnx.size(), options));
        require_size(*file, shapes);
        file->fix(shapes);
        return file;
    } catch (const Ort::Exception& error) {
        throw Refused(std::string("onnxruntime does not run this file: ") + error.what());
    }
}

std::string version() { return Ort::GetVersionString(); }

}  // namespace

const Engine ONNXRUNTIME = {"onnxruntime", version, compile};

}  // namespace freeway
