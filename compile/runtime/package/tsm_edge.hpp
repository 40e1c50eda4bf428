// tsm_edge.hpp: tsm-edge bundles in C++17: objects that own, exceptions that say why. Header only; nothing to link.
//
// A bundle is opened by the path of its folder. Each has a library of its own, opened with dlopen and RTLD_LOCAL, so that
// any number of bundles live in one program. A program that is linked with one (libtsm.a, or libtsm.so by pkg-config or
// CMake) takes tsm::Model::linked() instead.
//
//     tsm::Model model("gestures-raspberry-pi-4");
//     tsm::Stream stream = model.stream();
//     tsm::Sampler sampler = model.sampler();
//     tsm::Decision decision = model.decision();
//     while (camera has a frame, taken at t_s seconds)
//         for (int n = sampler.take(t_s); n > 0; n--) {                   // mostly 0 or 1
//             const tsm_decided now = decision.push(stream.step(tsm::bgr(pixels, 640, 480, 640 * 3)));
//             if (now.changed && !now.idle) std::cout << model.label(now.index) << "\n";
//         }
//
// A library is loaded as it is: check a bundle that you did not make yourself with its own tsm-edge-run --info first.
// One thread at a time uses a stream; objects may be moved, and keep their model open.
#ifndef TSM_EDGE_HPP
#define TSM_EDGE_HPP

#include "tsm_edge.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tsm {

// Why something was refused: what(), and the library's status.
class Error : public std::runtime_error {
public:
    Error(tsm_status status, const std::string &what) : std::runtime_error(what), status_(status) {}
    tsm_status status() const noexcept { return status_; }

private:
    tsm_status status_;
};

// The scores of a step; valid until the next step of its stream.
class Scores {
public:
    Scores(const float *data, std::size_t size) : data_(data), size_(size) {}
    const float *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    const float *begin() const noexcept { return data_; }
    const float *end() const noexcept { return data_ + size_; }
    float operator[](std::size_t index) const noexcept { return data_[index]; }

private:
    const float *data_;
    std::size_t size_;
};

// Interleaved pictures, rows `stride` bytes apart; other formats: fill in a tsm_frame.
inline tsm_image bgr(const std::uint8_t *pixels, int width, int height, std::size_t stride) {
    return tsm_image{pixels, width, height, stride, TSM_BGR};
}
inline tsm_image rgb(const std::uint8_t *pixels, int width, int height, std::size_t stride) {
    return tsm_image{pixels, width, height, stride, TSM_RGB};
}

namespace detail {

// The functions of one library, by the names of tsm_edge.h.
#define TSM_EDGE_CALLS(X)                                                                                              \
    X(tsm_open) X(tsm_close) X(tsm_info) X(tsm_device) X(tsm_stream_new) X(tsm_stream_free) X(tsm_step_image)          \
    X(tsm_step_frame) X(tsm_step_tensor) X(tsm_reset) X(tsm_scores) X(tsm_answers) X(tsm_error)                        \
    X(tsm_sampler_init) X(tsm_sampler_take) X(tsm_decision_new) X(tsm_decision_free) X(tsm_decision_push) X(tsm_decision_reset)            \
    X(tsm_decision_error)

struct Calls {
#define TSM_EDGE_MEMBER(name) decltype(&::name) name = nullptr;
    TSM_EDGE_CALLS(TSM_EDGE_MEMBER)
#undef TSM_EDGE_MEMBER
};

// An opened model and the library that it is of: closed in this order.
struct Opened {
    Calls calls;
    void *library = nullptr;
    tsm_model *model = nullptr;
    tsm_model_info info = {};

    Opened() = default;
    Opened(const Opened &) = delete;
    Opened &operator=(const Opened &) = delete;
    ~Opened() {
        if (model != nullptr) calls.tsm_close(model);
        if (library != nullptr) dlclose(library);
    }

    void open() {
        char error[TSM_ERROR_SIZE] = "";
        const tsm_status status = calls.tsm_open(&model, error, sizeof error);
        if (status != TSM_OK) throw Error(status, error);
        calls.tsm_info(model, &info);
    }
};

inline std::shared_ptr<Opened> load(const std::string &folder) {
    auto made = std::make_shared<Opened>();
    const std::string path = (folder.find('/') == std::string::npos ? "./" + folder : folder) + "/libtsm.so";
    made->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (made->library == nullptr) throw Error(TSM_E_ARGUMENT, dlerror());
#define TSM_EDGE_TAKE(name)                                                                                            \
    made->calls.name = reinterpret_cast<decltype(&::name)>(dlsym(made->library, #name));                               \
    if (made->calls.name == nullptr) throw Error(TSM_E_ARGUMENT, path + " has no " #name ": compile the bundle again");
    TSM_EDGE_CALLS(TSM_EDGE_TAKE)
#undef TSM_EDGE_TAKE
    made->open();
    return made;
}

} // namespace detail

// The states of one camera. Made by Model::stream.
class Stream {
public:
    Stream(std::shared_ptr<detail::Opened> of, int threads) : of_(std::move(of)) {
        char error[TSM_ERROR_SIZE] = "";
        const tsm_status status = of_->calls.tsm_stream_new(of_->model, threads, &stream_, error, sizeof error);
        if (status != TSM_OK) throw Error(status, error);
    }
    Stream(Stream &&other) noexcept : of_(std::move(other.of_)), stream_(std::exchange(other.stream_, nullptr)) {}
    Stream &operator=(Stream &&other) noexcept {
        std::swap(of_, other.of_);
        std::swap(stream_, other.stream_);
        return *this;
    }
    ~Stream() {
        if (stream_ != nullptr) of_->calls.tsm_stream_free(stream_);
    }

    // One step. When it is refused, states and scores keep their values.
    Scores step(const tsm_image &image) { return after(of_->calls.tsm_step_image(stream_, &image)); }
    Scores step(const tsm_frame &frame) { return after(of_->calls.tsm_step_frame(stream_, &frame)); }
    Scores step_tensor(const float *nchw, std::size_t count) {
        return after(of_->calls.tsm_step_tensor(stream_, nchw, count));
    }
    Scores step_tensor(const std::vector<float> &nchw) { return step_tensor(nchw.data(), nchw.size()); }

    // How often the network has run since the beginning or the reset; a bundle that looks at several frames at once does
    // not run on each of them, and its scores stay as they are.
    std::uint64_t answers() const { return of_->calls.tsm_answers(stream_); }

    void reset() { after(of_->calls.tsm_reset(stream_)); }

    Scores scores() const {
        std::size_t count = 0;
        const float *data = of_->calls.tsm_scores(stream_, &count);
        return Scores(data, count);
    }

private:
    Scores after(tsm_status status) const {
        if (status != TSM_OK) throw Error(status, of_->calls.tsm_error(stream_));
        return scores();
    }

    std::shared_ptr<detail::Opened> of_;
    tsm_stream *stream_ = nullptr;
};

// On which frames to step, and how often, by their time stamps. A copy is a sampler of its own.
class Sampler {
public:
    Sampler(std::shared_ptr<detail::Opened> of, double rate_fps) : of_(std::move(of)) {
        if (of_->calls.tsm_sampler_init(&state_, rate_fps) != TSM_OK)
            throw Error(TSM_E_ARGUMENT, "the rate of a sampler must be positive and finite");
    }
    int take(double t_s) { return of_->calls.tsm_sampler_take(&state_, t_s); }
    const tsm_sampler &state() const noexcept { return state_; }

private:
    std::shared_ptr<detail::Opened> of_;
    tsm_sampler state_ = {};
};

// From the scores of successive steps to an answer. One for each stream.
class Decision {
public:
    Decision(std::shared_ptr<detail::Opened> of, const tsm_decision_rule &rule) : of_(std::move(of)) {
        char error[TSM_ERROR_SIZE] = "";
        const tsm_model_info &info = of_->info;
        const tsm_status status =
            of_->calls.tsm_decision_new(&rule, info.scores, info.classes, &decision_, error, sizeof error);
        if (status != TSM_OK) throw Error(status, error);
    }
    Decision(Decision &&other) noexcept
        : of_(std::move(other.of_)), decision_(std::exchange(other.decision_, nullptr)) {}
    Decision &operator=(Decision &&other) noexcept {
        std::swap(of_, other.of_);
        std::swap(decision_, other.decision_);
        return *this;
    }
    ~Decision() {
        if (decision_ != nullptr) of_->calls.tsm_decision_free(decision_);
    }

    tsm_decided push(const Scores &scores) {
        tsm_decided now = {};
        const tsm_status status = of_->calls.tsm_decision_push(decision_, scores.data(), scores.size(), &now);
        if (status != TSM_OK) throw Error(status, of_->calls.tsm_decision_error(decision_));
        return now;
    }
    void reset() { of_->calls.tsm_decision_reset(decision_); }

private:
    std::shared_ptr<detail::Opened> of_;
    tsm_decision *decision_ = nullptr;
};

// An opened bundle; a copy is the same model.
class Model {
public:
    explicit Model(const std::string &folder) : of_(detail::load(folder)) {}

    // The bundle that this program is linked with.
    static Model linked() {
        auto made = std::make_shared<detail::Opened>();
#define TSM_EDGE_TAKE(name) made->calls.name = &::name;
        TSM_EDGE_CALLS(TSM_EDGE_TAKE)
#undef TSM_EDGE_TAKE
        made->open();
        return Model(std::move(made));
    }

    const tsm_model_info &info() const noexcept { return of_->info; }
    std::string device() const { return of_->calls.tsm_device(of_->model); }
    // The name of a class; "class N" when the model has no labels.
    std::string label(int index) const {
        if (index >= 0 && static_cast<std::size_t>(index) < of_->info.label_count) return of_->info.labels[index];
        return "class " + std::to_string(index);
    }

    Stream stream(int threads = 1) const { return Stream(of_, threads); }
    Sampler sampler() const { return Sampler(of_, of_->info.rate_fps); }
    Decision decision() const { return Decision(of_, of_->info.decision); }

private:
    explicit Model(std::shared_ptr<detail::Opened> of) : of_(std::move(of)) {}

    std::shared_ptr<detail::Opened> of_;
};

#undef TSM_EDGE_CALLS

} // namespace tsm

#endif
