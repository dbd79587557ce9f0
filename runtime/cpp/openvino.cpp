#include <openvino/openvino.hpp>

#include "engine.hpp"

namespace freeway {
namespace {

/// The one Core of this process, kept to its end: it gives the thread a signal stack, and Cores
/// that go in another order than they came leave the thread with one that is gone.
ov::Core& core() {
    static ov::Core the_one;
    return the_one;
}

Shape sides(const ov::PartialShape& shape) {
    Shape found;
    for (const auto& side : shape) found.push_back(side.is_static() ? side.get_length() : -1);
    return found;
}

Entry entry_of(const ov::Output<const ov::Node>& port) {
    const auto type = port.get_element_type();
    const std::string name = port.get_any_name();
    if (type != ov::element::f32 && type != ov::element::u8)
        throw Refused("the file has " + type.get_type_name() + " at " + name +
                      ": this library runs files of f32 and u8");
    return {name, type == ov::element::u8, sides(port.get_partial_shape())};
}

/// The engine's own words on one line, without the source positions that precede them.
std::string line_of(const std::exception& error) {
    std::string last, line;
    std::istringstream told(error.what());
    while (std::getline(told, line))
        if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
    return last;
}

class OnOpenVINO final : public Compiled {
public:
    explicit OnOpenVINO(ov::CompiledModel model)
        : model_(std::move(model)), request_(model_.create_infer_request()) {
        for (const auto& port : model_.inputs()) inputs.push_back(entry_of(port));
        for (const auto& port : model_.outputs()) outputs.push_back(entry_of(port));
    }

    void run(const std::vector<const void*>& given, const std::vector<void*>& made) override {
        for (std::size_t k = 0; k < given.size(); ++k)
            request_.set_input_tensor(k, bound(inputs[k], const_cast<void*>(given[k])));
        for (std::size_t k = 0; k < made.size(); ++k)
            request_.set_output_tensor(k, bound(outputs[k], made[k]));
        request_.infer();
    }

private:
    static ov::Tensor bound(const Entry& entry, void* values) {
        return {entry.is_bytes ? ov::element::u8 : ov::element::f32,
                ov::Shape(entry.shape.begin(), entry.shape.end()), values};
    }

    ov::CompiledModel model_;
    ov::InferRequest request_;
};

void reshape(ov::Model& model, const Shapes& shapes) {
    Shapes has;
    std::map<ov::Output<ov::Node>, ov::PartialShape> asked;
    for (const auto& port : model.inputs()) {
        const Entry entry = entry_of(port);
        const auto wanted = shapes.find(entry.name);
        if (wanted == shapes.end())
            throw BadBundle("the file takes " + entry.name + ", which " +
                            "its description does not: export it again");
        const Io io = io_of(entry, wanted->second[1]);
        has[entry.name] = of_file(entry.shape, io);
        const Shape now = in_file(wanted->second, io);
        asked[port] = ov::PartialShape(std::vector<ov::Dimension>(now.begin(), now.end()));
    }
    if (has == shapes) return;
    try {
        model.reshape(asked);
    } catch (const std::exception&) {
        throw OneSize(has, shapes, "openvino cannot give this file another size");
    }
}

std::unique_ptr<Compiled> compile(const std::string& onnx, const Shapes& shapes, int threads) {
    try {
        const auto model = core().read_model(onnx, ov::Tensor());
        reshape(*model, shapes);
        // As files are timed: without the hint it runs bf16 where the processor has it, and a
        // pinned thread waits for its core while another stands idle.
        const ov::AnyMap settings = {
            ov::inference_num_threads(threads),
            ov::num_streams(1),
            ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
            ov::hint::inference_precision(ov::element::f32),
            ov::hint::enable_cpu_pinning(false),
        };
        return std::make_unique<OnOpenVINO>(core().compile_model(model, "CPU", settings));
    } catch (const ov::Exception& error) {
        throw Refused("openvino does not run this file: " + line_of(error));
    }
}

std::string version() { return ov::get_openvino_version().buildNumber; }

}  // namespace

const Engine OPENVINO = {"openvino", version, compile};

}  // namespace freeway
