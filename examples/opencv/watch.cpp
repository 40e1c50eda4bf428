// watch.cpp: the camera in a window, with the gesture under it. Usage: watch BUNDLE [CAMERA NUMBER OR FILE]
#include "tsm_edge.hpp"

#include <opencv2/highgui.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>

#include <chrono>
#include <iostream>
#include <string>

int main(int argc, char **argv) try {
    if (argc < 2) return std::cerr << "usage: watch BUNDLE [CAMERA]\n", 2;
    const std::string source = argc > 2 ? argv[2] : "0";
    cv::VideoCapture camera;
    if (source.find_first_not_of("0123456789") == std::string::npos) camera.open(std::stoi(source));
    else camera.open(source);
    if (!camera.isOpened()) return std::cerr << "cannot open " << source << "\n", 1;
    tsm::Model model(argv[1]);
    tsm::Stream stream = model.stream(4);
    tsm::Sampler sampler = model.sampler();
    tsm::Decision decision = model.decision();
    const auto begin = std::chrono::steady_clock::now();
    std::string shown;
    for (cv::Mat frame; camera.read(frame);) {
        const std::chrono::duration<double> t = std::chrono::steady_clock::now() - begin;
        for (int n = sampler.take(t.count()); n > 0; n--) {
            const tsm_decided now = decision.push(stream.step(tsm::bgr(frame.data, frame.cols, frame.rows, frame.step)));
            if (now.changed) shown = now.idle ? "" : model.label(now.index);
        }
        cv::putText(frame, shown, {10, frame.rows - 20}, cv::FONT_HERSHEY_SIMPLEX, 1.0, {255, 255, 255}, 2);
        cv::imshow("tsm-edge", frame);
        if (cv::waitKey(1) == 27) break;
    }
    return 0;
} catch (const tsm::Error &error) {
    return std::cerr << error.what() << "\n", 1;
}
