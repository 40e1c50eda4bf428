// Gestures.java: the native half of examples/android in a JVM: frames of YUV_420_888, as NV21 and as I420.
package org.tsmedge;

import java.nio.ByteBuffer;

public final class Gestures {
    static native long open(int threads);

    static native void free(long handle);

    static native String label(long handle, int index);

    static native int see(
        long handle, ByteBuffer y, ByteBuffer u, ByteBuffer v, int width, int height, int yStride, int chromaStride,
        int chromaStep, long nanos, double[] probability);

    static ByteBuffer plane(int bytes, int value) {
        ByteBuffer plane = ByteBuffer.allocateDirect(bytes);
        while (plane.hasRemaining()) plane.put((byte) value);
        return plane.rewind();
    }

    static ByteBuffer from(ByteBuffer buffer, int begin) {
        return buffer.duplicate().position(begin).slice();
    }

    // One frame of a colour at `step`; returns what is told.
    static String frame(long handle, int number, boolean interleaved, int u, int v) {
        final int width = 40, height = 30, stride = 48;
        ByteBuffer y = plane(stride * height, 120), first, second;
        if (interleaved) { // V U V U ..., and Android's view of U ends one byte before the last V
            ByteBuffer both = plane(stride * height / 2, v);
            for (int i = 1; i < both.capacity(); i += 2) both.put(i, (byte) u);
            first = from(both, 1);
            second = both;
        } else {
            first = plane(stride / 2 * height / 2, u);
            second = plane(stride / 2 * height / 2, v);
        }
        double[] probability = {0.0};
        int index = see(handle, y, first, second, width, height, stride, interleaved ? stride : stride / 2,
            interleaved ? 2 : 1, number * 1_000_000_000L / 12, probability);
        return index < 0 ? "" : number + " " + label(handle, index).replace("\n", "\\n") + " " + (probability[0] > 0.4);
    }

    public static void main(String[] arguments) {
        System.loadLibrary("tsm_jni");
        for (boolean interleaved : new boolean[] {false, true}) {
            long handle = open(2);
            for (int number = 0; number < 24; number++) {
                boolean blue = number >= 12;
                String told = frame(handle, number, interleaved, blue ? 255 : 0, blue ? 110 : 0);
                if (!told.isEmpty()) System.out.println(told);
            }
            System.out.println(label(handle, 99));
            try {
                see(handle, plane(10, 0), plane(10, 0), plane(10, 0), 40, 30, 48, 24, 1, 9_000_000_000L, new double[1]);
            } catch (IllegalStateException refused) {
                System.out.println("refused: " + refused.getMessage());
            }
            free(handle);
        }
        try {
            open(1000);
        } catch (IllegalStateException refused) {
            System.out.println("refused: " + refused.getMessage());
        }
    }
}
