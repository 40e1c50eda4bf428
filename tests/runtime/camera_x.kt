// camera_x.kt: the declarations of CameraX that examples/android uses, to compile it without an Android SDK.
package androidx.camera.core

import java.nio.ByteBuffer

interface ImageInfo {
    val timestamp: Long
}

interface ImageProxy : AutoCloseable {
    interface PlaneProxy {
        val rowStride: Int
        val pixelStride: Int
        val buffer: ByteBuffer
    }

    val width: Int
    val height: Int
    val planes: Array<PlaneProxy>
    val imageInfo: ImageInfo

    override fun close()
}

class ImageAnalysis {
    fun interface Analyzer {
        fun analyze(image: ImageProxy)
    }
}
