/* jpeg_decoder.h: stb_image.h, as it is, reduced to JPEG from memory. A system header, for it has warnings of its own. */
#ifndef TSM_JPEG_DECODER_H
#define TSM_JPEG_DECODER_H
#pragma GCC system_header
#pragma GCC diagnostic ignored "-Wunused-function" /* reported at the end of the file that includes this one */

#include "tsm_edge.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_NO_THREAD_LOCALS
#define STBI_MAX_DIMENSIONS TSM_MAX_IMAGE_SIDE
#define STBI_ASSERT(x) ((void)0)
#if defined(__ARM_NEON)
#define STBI_NEON
#endif
#include "stb_image.h"

#endif
