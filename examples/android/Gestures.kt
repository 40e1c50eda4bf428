package org.tsmedge

import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import java.nio.ByteBuffer

/** Tells gestures that CameraX sees; an analyzer of YUV_420_888 for one camera. */
class Gestures(threads: Int = 4, private val tell: (label: String, probability: Double) -> Unit) :
    ImageAnalysis.Analyzer, AutoCloseable {

    private var handle = open(threads)
    private val probability = DoubleArray(1)

    @Synchronized
    override fun analyze(image: ImageProxy) = image.use {
        if (handle == 0L) return@use
        val (y, u, v) = image.planes
        require(y.pixelStride == 1 && u.pixelStride == v.pixelStride && u.rowStride == v.rowStride)
        val index = see(
            handle, y.buffer, u.buffer, v.buffer, image.width, image.height,
            y.rowStride, u.rowStride, u.pixelStride, image.imageInfo.timestamp, probability,
        )
        if (index >= 0) tell(label(handle, index), probability[0])
    }

    @Synchronized
    override fun close() {
        if (handle != 0L) free(handle)
        handle = 0L
    }

    private companion object {
        init {
            System.loadLibrary("tsm_jni")
        }

        @JvmStatic external fun open(threads: Int): Long
        @JvmStatic external fun free(handle: Long)
        @JvmStatic external fun label(handle: Long, index: Int): String
        @JvmStatic external fun see(
            handle: Long, y: ByteBuffer, u: ByteBuffer, v: ByteBuffer, width: Int, height: Int,
            yStride: Int, chromaStride: Int, chromaStep: Int, nanos: Long, probability: DoubleArray,
        ): Int
    }
}
