/* Meshes on bones to a picture: linear blend skinning, light at the vertices, a z-buffer.
 *
 * Sums and products of floats in a fixed order, sqrtf and nothing else of the mathematics library: built without
 * contraction of products and sums, the same input gives the same bytes on every machine.
 */
#include <math.h>
#include <stdint.h>
#include <stddef.h>

typedef struct {
    int32_t vertices, faces, bones, texture_side;
    const float *rest, *normal;  /* [V, 3], rest pose, metres */
    const uint8_t *bone;         /* [V, 4] */
    const float *weight;         /* [V, 4], together 1 */
    const int32_t *face;         /* [F, 3], counter-clockwise from outside */
    const float *colour;         /* [V, 3], linear */
    const float *gloss;          /* [V], share of the key light that is mirrored */
    const float *uv;             /* [V, 2], texture coordinates; the texture repeats */
    const float *texture;        /* [S, S, 3], multiplies the colour */
    float *seen;                 /* scratch [V, 8]: picture x, y, depth, red, green, blue, u, v */
} tsm_mesh;

typedef struct {
    float view[12];       /* metres to camera axes: x right, y down, z away */
    float focal, x, y;    /* pixels */
    float harmonics[27];  /* irradiance, 9 coefficients of red, green, blue, in metres' axes */
    float towards[3];     /* to the key light */
    float key[3];         /* its colour */
    float wrap;           /* how far around the key light reaches: 0 Lambert, 1 half-Lambert */
    float levels;         /* steps of the key light; 0: smooth */
} tsm_look;

static float dot3(const float *a, const float *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/* The nine real spherical harmonics up to the second order without their constants (those are in the coefficients). */
static float irradiance(const float *c, float x, float y, float z) {
    return c[0] + c[3] * y + c[6] * z + c[9] * x + c[12] * x * y + c[15] * y * z + c[18] * (3 * z * z - 1)
         + c[21] * x * z + c[24] * (x * x - y * y);
}

static void shade(const tsm_mesh *mesh, const tsm_look *look, const float *eye, const float *place, float *n, int v,
                  float *out) {
    float length = sqrtf(dot3(n, n)) + 1e-12f;
    n[0] /= length, n[1] /= length, n[2] /= length;
    float lit = (dot3(n, look->towards) + look->wrap) / (1 + look->wrap);
    lit = lit < 0 ? 0 : lit;
    if (look->levels > 0) lit = (float)(int)(lit * look->levels + 0.5f) / look->levels;
    float half[3];
    float distance = 0;
    for (int i = 0; i < 3; i++) half[i] = eye[i] - place[i], distance += half[i] * half[i];
    distance = sqrtf(distance) + 1e-12f;
    for (int i = 0; i < 3; i++) half[i] = half[i] / distance + look->towards[i];
    float cosine = dot3(n, half) / (sqrtf(dot3(half, half)) + 1e-12f);
    cosine = cosine < 0 ? 0 : cosine;
    cosine *= cosine, cosine *= cosine, cosine *= cosine, cosine *= cosine;
    for (int i = 0; i < 3; i++) {
        float ambient = irradiance(look->harmonics + i, n[0], n[1], n[2]);
        float light = (ambient < 0.02f ? 0.02f : ambient) + look->key[i] * lit;
        out[i] = mesh->colour[3 * v + i] * light + mesh->gloss[v] * look->key[i] * cosine;
    }
}

static void transform(const tsm_mesh *mesh, const float *bones, const tsm_look *look) {
    float eye[3];
    for (int i = 0; i < 3; i++)
        eye[i] = -(look->view[i] * look->view[3] + look->view[4 + i] * look->view[7] + look->view[8 + i] * look->view[11]);
    for (int v = 0; v < mesh->vertices; v++) {
        float m[12] = {0};
        for (int k = 0; k < 4; k++) {
            float w = mesh->weight[4 * v + k];
            if (w == 0) continue;
            const float *b = bones + 12 * mesh->bone[4 * v + k];
            for (int i = 0; i < 12; i++) m[i] += w * b[i];
        }
        const float *p = mesh->rest + 3 * v, *q = mesh->normal + 3 * v;
        float place[3], n[3];
        for (int i = 0; i < 3; i++) {
            place[i] = dot3(m + 4 * i, p) + m[4 * i + 3];
            n[i] = dot3(m + 4 * i, q);
        }
        float *out = mesh->seen + 8 * v, c[3];
        for (int i = 0; i < 3; i++) c[i] = dot3(look->view + 4 * i, place) + look->view[4 * i + 3];
        float scale = c[2] > 0.05f ? look->focal / c[2] : 0;
        out[0] = look->x + c[0] * scale, out[1] = look->y + c[1] * scale, out[2] = scale > 0 ? c[2] : -1;
        shade(mesh, look, eye, place, n, v, out + 3);
        out[6] = mesh->uv[2 * v], out[7] = mesh->uv[2 * v + 1];
    }
}

static void texel(const tsm_mesh *mesh, float u, float v, float *rgb) {
    int side = mesh->texture_side;
    if (side == 0) return;
    float x = u - floorf(u), y = v - floorf(v);
    int column = (int)(x * (float)side), row = (int)(y * (float)side);
    column = column >= side ? side - 1 : column, row = row >= side ? side - 1 : row;
    const float *t = mesh->texture + 3 * ((ptrdiff_t)row * side + column);
    rgb[0] *= t[0], rgb[1] *= t[1], rgb[2] *= t[2];
}

static void fill(const tsm_mesh *mesh, const float *a, const float *b, const float *c, int width, int height, float *rgb,
                 float *depth) {
    float area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    if (!(area < 0)) return; /* counter-clockwise from outside is clockwise with y down: others are seen from behind */
    float low_x = fminf(a[0], fminf(b[0], c[0])), high_x = fmaxf(a[0], fmaxf(b[0], c[0]));
    float low_y = fminf(a[1], fminf(b[1], c[1])), high_y = fmaxf(a[1], fmaxf(b[1], c[1]));
    if (high_x < 0 || high_y < 0 || low_x > (float)width || low_y > (float)height) return;
    int x0 = low_x < 0 ? 0 : (int)low_x, x1 = high_x > (float)(width - 1) ? width - 1 : (int)high_x;
    int y0 = low_y < 0 ? 0 : (int)low_y, y1 = high_y > (float)(height - 1) ? height - 1 : (int)high_y;
    float inverse = 1 / area;
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            float px = (float)x + 0.5f, py = (float)y + 0.5f;
            float wb = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) * inverse;
            float wc = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) * inverse;
            float wa = 1 - wb - wc;
            if (wa < 0 || wb < 0 || wc < 0) continue;
            ptrdiff_t at = (ptrdiff_t)y * width + x;
            float z = wa * a[2] + wb * b[2] + wc * c[2];
            if (z >= depth[at]) continue;
            depth[at] = z;
            float *pixel = rgb + 3 * at;
            for (int i = 0; i < 3; i++) pixel[i] = wa * a[3 + i] + wb * b[3 + i] + wc * c[3 + i];
            texel(mesh, wa * a[6] + wb * b[6] + wc * c[6], wa * a[7] + wb * b[7] + wc * c[7], pixel);
        }
}

/* Draw a mesh over what is there. bones: [B, 3, 4]. rgb: [height, width, 3], linear. depth: [height, width], metres. */
void tsm_draw(const tsm_mesh *mesh, const float *bones, const tsm_look *look, int32_t width, int32_t height, float *rgb,
              float *depth) {
    transform(mesh, bones, look);
    for (int f = 0; f < mesh->faces; f++) {
        const float *a = mesh->seen + 8 * (ptrdiff_t)mesh->face[3 * f];
        const float *b = mesh->seen + 8 * (ptrdiff_t)mesh->face[3 * f + 1];
        const float *c = mesh->seen + 8 * (ptrdiff_t)mesh->face[3 * f + 2];
        if (a[2] > 0 && b[2] > 0 && c[2] > 0) fill(mesh, a, b, c, width, height, rgb, depth);
    }
}
