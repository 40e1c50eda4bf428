/* half.c: IEEE float16 and float32, exactly, in integers: a host compiler for a small board may have no float16. */
#include "half.h"

#include <string.h>

enum { HALF_BITS = 10, FLOAT_BITS = 23, SHIFT = FLOAT_BITS - HALF_BITS, BIAS_DIFFERENCE = 127 - 15 };

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* `value` / 2^shift, to the nearest, ties to even; 1 <= shift <= 31. */
static uint32_t rounded(uint32_t value, uint32_t shift) {
    const uint32_t half = 1u << (shift - 1), rest = value & ((1u << shift) - 1), quotient = value >> shift;
    return quotient + (rest > half || (rest == half && (quotient & 1u)));
}

uint16_t tsm_half_from_float(float value) {
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    uint32_t half;
    if (magnitude > 0x7f800000u) { /* NaN */
        half = 0x7e00u | (magnitude >> SHIFT & 0x3ffu);
    } else if (magnitude >= (uint32_t)(BIAS_DIFFERENCE + 1) << FLOAT_BITS) { /* normal, or beyond */
        half =
            magnitude >= 0x47800000u ? 0x7c00u : rounded(magnitude - ((uint32_t)BIAS_DIFFERENCE << FLOAT_BITS), SHIFT);
    } else { /* subnormal: units of 2^-24; a carry makes the least normal number, as it should */
        const uint32_t exponent = magnitude >> FLOAT_BITS, significand = (magnitude & 0x7fffffu) | 0x800000u;
        const uint32_t shift = (uint32_t)(SHIFT + BIAS_DIFFERENCE + 1) - exponent;
        half = shift > 24 + 1 ? 0 : rounded(significand, shift);
    }
    return (uint16_t)(sign | half);
}

float tsm_float_from_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> HALF_BITS & 0x1fu, rest = half & 0x3ffu;
    uint32_t bits;
    if (exponent == 0x1f) {
        bits = sign | 0x7f800000u | rest << SHIFT | (rest ? 0x400000u : 0);
    } else if (exponent != 0) {
        bits = sign | (exponent + (uint32_t)BIAS_DIFFERENCE) << FLOAT_BITS | rest << SHIFT;
    } else { /* zero or subnormal: rest * 2^-24, which a float32 holds exactly */
        const float value = (float)rest / 16777216.0f;
        bits = sign | bits_of(value);
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
