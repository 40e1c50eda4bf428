// tsm_jni.cpp: the native half of Gestures.kt: a model, a stream, a sampler and a decision behind one handle.
#include "tsm_edge.h"

#include <jni.h>

#include <memory>
#include <string>

namespace {

struct Session {
    tsm_model *model = nullptr;
    tsm_stream *stream = nullptr;
    tsm_decision *decision = nullptr;
    tsm_sampler sampler = {};
    tsm_model_info info = {};

    ~Session() {
        tsm_decision_free(decision);
        tsm_stream_free(stream);
        if (model != nullptr) tsm_close(model);
    }
};

void refuse(JNIEnv *env, const char *why) { env->ThrowNew(env->FindClass("java/lang/IllegalStateException"), why); }

// The bytes of a direct buffer, from its first one on; nullptr when the plane is shorter than its rows.
const std::uint8_t *plane(JNIEnv *env, jobject buffer, jlong stride, jlong rows, jlong row) {
    const jlong size = env->GetDirectBufferCapacity(buffer);
    if (size < stride * (rows - 1) + row) return nullptr;
    return static_cast<const std::uint8_t *>(env->GetDirectBufferAddress(buffer));
}

} // namespace

extern "C" JNIEXPORT jlong JNICALL Java_org_tsmedge_Gestures_open(JNIEnv *env, jclass, jint threads) {
    char error[TSM_ERROR_SIZE] = "";
    auto s = std::make_unique<Session>();
    if (tsm_open(&s->model, error, sizeof error) != TSM_OK) return refuse(env, error), 0;
    tsm_info(s->model, &s->info);
    if (tsm_stream_new(s->model, threads, &s->stream, error, sizeof error) != TSM_OK ||
        tsm_decision_new(&s->info.decision, s->info.scores, s->info.classes, &s->decision, error, sizeof error) != TSM_OK)
        return refuse(env, error), 0;
    tsm_sampler_init(&s->sampler, s->info.rate_fps);
    return reinterpret_cast<jlong>(s.release());
}

extern "C" JNIEXPORT void JNICALL Java_org_tsmedge_Gestures_free(JNIEnv *, jclass, jlong handle) {
    delete reinterpret_cast<Session *>(handle);
}

// Takes a frame of YUV_420_888 at `nanos`. Returns the class that was decided with it, or -1 while nothing changed.
extern "C" JNIEXPORT jint JNICALL Java_org_tsmedge_Gestures_see(JNIEnv *env, jclass, jlong handle, jobject y, jobject u,
                                                                 jobject v, jint width, jint height, jint yStride,
                                                                 jint chromaStride, jint chromaStep, jlong nanos,
                                                                 jdoubleArray probability) {
    Session *s = reinterpret_cast<Session *>(handle);
    const jlong half = (height + 1) / 2, columns = (width + 1) / 2, row = (columns - 1) * chromaStep + 1;
    const tsm_frame frame = {{plane(env, y, yStride, height, width), plane(env, u, chromaStride, half, row),
                              plane(env, v, chromaStride, half, row)},
                             {static_cast<size_t>(yStride), static_cast<size_t>(chromaStride),
                              static_cast<size_t>(chromaStride)},
                             chromaStep, width, height, TSM_YUV420, TSM_BT601_FULL};
    jint told = -1;
    for (int n = tsm_sampler_take(&s->sampler, static_cast<double>(nanos) * 1e-9); n > 0; n--) {
        tsm_decided now;
        if (tsm_step_frame(s->stream, &frame) != TSM_OK) return refuse(env, tsm_error(s->stream)), -1;
        size_t count = 0;
        const float *scores = tsm_scores(s->stream, &count);
        if (tsm_decision_push(s->decision, scores, count, &now) != TSM_OK)
            return refuse(env, tsm_decision_error(s->decision)), -1;
        if (!now.changed || now.idle) continue;
        const jdouble mean = now.probability;
        env->SetDoubleArrayRegion(probability, 0, 1, &mean);
        told = now.index;
    }
    return told;
}

extern "C" JNIEXPORT jstring JNICALL Java_org_tsmedge_Gestures_label(JNIEnv *env, jclass, jlong handle, jint index) {
    const tsm_model_info &info = reinterpret_cast<Session *>(handle)->info;
    const bool known = index >= 0 && static_cast<size_t>(index) < info.label_count;
    return env->NewStringUTF(known ? info.labels[index] : ("class " + std::to_string(index)).c_str());
}
