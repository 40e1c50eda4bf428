// example.cpp: announce the gestures that bundles see, several at once if there are several. Reads 640x480 frames in
// YUV 4:2:0 from stdin, taken FPS times a second.
//
//     c++ -std=c++17 -I BUNDLE BUNDLE/example.cpp -ldl -o example
//     rpicam-vid -t 0 --codec yuv420 -o - | ./example 30 BUNDLE...
#include "tsm_edge.hpp"

#include <cstdlib>
#include <iostream>
#include <vector>

namespace {

constexpr int width = 640, height = 480;

// One model with the state of this camera.
struct Watcher {
    tsm::Model model;
    tsm::Stream stream = model.stream(2);
    tsm::Sampler sampler = model.sampler();
    tsm::Decision decision = model.decision();

    void see(const tsm_frame &frame, double t_s) {
        for (int n = sampler.take(t_s); n > 0; n--) {
            const auto answers = stream.answers();
            const tsm::Scores scores = stream.step(frame);
            if (stream.answers() == answers) continue; // a model that looks at several frames waits for more of them
            const tsm_decided now = decision.push(scores);
            if (now.changed && !now.idle)
                std::cout << t_s << " s  " << model.info().model << "  " << model.label(now.index) << "  "
                          << static_cast<int>(100.0 * now.probability + 0.5) << " %" << std::endl;
        }
    }
};

} // namespace

int main(int argc, char **argv) try {
    const double fps = argc > 2 ? std::atof(argv[1]) : 0.0;
    if (fps <= 0.0) return std::cerr << "usage: " << argv[0] << " FPS BUNDLE... < frames\n", 2;
    std::vector<Watcher> watchers;
    for (int i = 2; i < argc; i++) watchers.push_back(Watcher{tsm::Model(argv[i])});
    std::vector<char> bytes(width * height * 3 / 2);
    const auto *y = reinterpret_cast<const std::uint8_t *>(bytes.data());
    const auto *u = y + width * height, *v = u + width * height / 4;
    const tsm_frame frame = {{y, u, v}, {width, width / 2, width / 2}, 1, width, height, TSM_YUV420, TSM_BT601};
    for (long i = 0; std::cin.read(bytes.data(), static_cast<std::streamsize>(bytes.size())); i++)
        for (Watcher &watcher : watchers) watcher.see(frame, static_cast<double>(i) / fps);
    return 0;
} catch (const tsm::Error &error) {
    return std::cerr << error.what() << "\n", 1;
}
