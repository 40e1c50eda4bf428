/* unit_formats.c: the JSON reader and SHA-256 of the command, on literal bytes. */
#include "checks.h"
#include "json.h"
#include "sha256.h"

#include <stdlib.h>
#include <string.h>

/* -- SHA-256: the examples of FIPS 180-4, and its long message ----------------------------------------------------- */

static int hashes_to(const char *text, size_t size, size_t part, const char *expected) {
    char hex[65];
    sha256 hash;
    sha256_start(&hash);
    for (size_t at = 0; at < size; at += part) sha256_add(&hash, text + at, size - at < part ? size - at : part);
    sha256_end(&hash, hex);
    return strcmp(hex, expected) == 0;
}

static void sha256_vectors(void) {
    static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static char million[1000000];
    memset(million, 'a', sizeof million);
    CHECK(hashes_to("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    CHECK(hashes_to("abc", 3, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CHECK(hashes_to(two, 56, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
    const char *hash_of_million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    for (size_t part = 1; part < 200000; part = part * 7 + 1) /* in pieces of any size */
        CHECK(hashes_to(million, sizeof million, part, hash_of_million));
}

/* -- JSON ---------------------------------------------------------------------------------------------------------- */

static char buffer[4096], error[128];

/* The text is copied to the end of a block of its own, so that the address sanitizer sees a read past it. */
static int reads(const char *text, size_t size) {
    json_document d;
    char *copy = malloc(size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    const int good = json_read(&d, copy, size, error, sizeof error);
    if (good) json_free(&d);
    free(copy);
    return good;
}
#define READS(literal) reads(literal, sizeof(literal) - 1)

static void json_values(void) {
    static const char text[] =
        " {\"a\": [1, -0, 2.5e1, 1E-2], \"b\\u0062\": \"\\u00e9\\ud83d\\ude00\\n\\\"\\/\", \"n\": null,"
        " \"t\": [true, false], \"o\": {}, \"e\": [ ], \"z\": \"\\u0000x\"}\r\n\t";
    json_document d;
    memcpy(buffer, text, sizeof text);
    CHECK(json_read(&d, buffer, sizeof text - 1, error, sizeof error));
    const json_value *a = json_member(d.values, "a");
    CHECK(d.values->kind == JSON_OBJECT && d.values->count == 7 && a->count == 4);
    CHECK(a->first->kind == JSON_INTEGER && a->first->number == 1.0 && a->first->next->kind == JSON_INTEGER);
    CHECK(a->first->next->next->kind == JSON_REAL && a->first->next->next->number == 25.0);
    CHECK(a->first->next->next->next->number == 0.01 && a->first->next->next->next->next == NULL);
    CHECK(json_is(json_member(d.values, "bb"), "\xc3\xa9\xf0\x9f\x98\x80\n\"/"));
    CHECK(json_member(d.values, "n")->kind == JSON_NULL && json_member(d.values, "t")->first->kind == JSON_TRUE);
    CHECK(json_member(d.values, "o")->count == 0 && json_member(d.values, "e")->kind == JSON_ARRAY);
    CHECK(json_member(d.values, "z")->text_size == 2 && !json_is(json_member(d.values, "z"), ""));
    CHECK(json_member(d.values, "missing") == NULL && json_member(a, "a") == NULL);
    json_free(&d);
}

static void json_accepts(void) {
    CHECK(READS("0") && READS("-1.5E+10") && READS("\"\"") && READS("[[],{}]") && READS(" null "));
    CHECK(READS("\"\xf4\x8f\xbf\xbf\"") && READS("\"\x7f\"") && READS("123456789012345678901234567890"));
}

static void json_refuses(void) {
    CHECK(!READS("") && !READS(" ") && !READS("{") && !READS("[1") && !READS("[1,") && !READS("[1,]"));
    CHECK(!READS("[,1]") && !READS("[") && !READS("]"));
    CHECK(!READS("{\"a\"}") && !READS("{\"a\":}") && !READS("{\"a\":1,}") && !READS("{a:1}") && !READS("{1:1}"));
    CHECK(!READS("1 2") && !READS("[1]]") && !READS("nul") && !READS("nulL") && !READS("NaN") && !READS("Infinity"));
    CHECK(!READS("01") && !READS("-") && !READS("+1") && !READS("1.") && !READS(".5") && !READS("1e") && !READS("1e+"));
    CHECK(!READS("\"") && !READS("\"a") && !READS("\"\\") && !READS("\"\\x\"") && !READS("\"\t\"") && !READS("'a'"));
    CHECK(!READS("\"\\u12\"") && !READS("\"\\u12g4\"") && !READS("\"\\ud800\"") && !READS("\"\\ud800\\u0041\""));
    CHECK(!READS("\"\\udc00\"") && !READS("\"\\ud83d") && !READS("// no\n1") && !READS("\xef\xbb\xbf{}"));
    CHECK(!READS("\"\xff\"") && !READS("\"\xc0\x80\"") && !READS("\"\xed\xa0\x80\"") && !READS("\"\xe2\x82\""));
    CHECK(!READS("\"\xf4\x90\x80\x80\"") && !READS("[1,\0 2]") && !READS("\"a\0b\"") && !READS("1\0"));
    CHECK(!READS("[tru") && strstr(error, "byte 1") != NULL); /* says where */
}

static void json_depth(void) {
    for (int depth = 63; depth <= 66; depth++) {
        memset(buffer, '[', (size_t)depth);
        memset(buffer + depth, ']', (size_t)depth);
        CHECK(reads(buffer, (size_t)depth * 2) == (depth <= JSON_DEPTH));
    }
}

/* Every prefix of a good document is refused, without a read past its end. */
static void json_prefixes(void) {
    static const char text[] = "{\"a\": [1.5e3, \"\\u00e9\\ud83d\\ude00\", {\"b\": null}], \"c\": \"\xe2\x82\xac\"}";
    for (size_t size = 0; size + 1 < sizeof text; size++) CHECK(!reads(text, size));
    CHECK(READS("{\"a\": [1.5e3]}"));
}

static void json_repeats(void) {
    CHECK(!READS("[{\"a\": 1, \"b\": {\"c\": 0, \"d\": 1, \"c\": 2}}, {\"a\": 2}]") && strstr(error, "'c'") != NULL);
    CHECK(!READS("{\"a\": 1, \"\\u0061\": 1}") && !READS("{\"\": 1, \"\": 1}"));
    CHECK(READS("{\"a\": {\"a\": [{\"a\": 1}, {\"a\": 1}]}}") && READS("{\"a\": 1, \"a\\u0000\": 1, \"\": 2}"));
}

static void json_keys_in_order(void) {
    static const char text[] = "{\"b\": 0, \"ab\": 1, \"\xc3\xa9\": 2, \"a\": 3, \"\": 4, \"a\\u0000\": 5}";
    static const double order[] = {4, 3, 5, 1, 0, 2};
    json_document d;
    memcpy(buffer, text, sizeof text);
    CHECK(json_read(&d, buffer, sizeof text - 1, error, sizeof error));
    const json_value *m = d.values->first_by_key;
    for (size_t i = 0; i < 6; i++, m = m->next_by_key) CHECK(m->number == order[i]);
    CHECK(m == NULL && d.values->first->number == 0);
    json_free(&d);
}

static void json_numbers(void) {
    char digits[JSON_NUMBER + 2];
    memset(digits, '7', sizeof digits);
    CHECK(reads(digits, JSON_NUMBER) && !reads(digits, JSON_NUMBER + 1));
    CHECK(READS("1e308") && READS("1e-999") && !READS("1e309") && !READS("-1e999"));
}

/* Strings of a few letters in any order: sorted, and one that is there twice is found. */
static void json_repeated_strings(void) {
    enum { COUNT = 500 };
    static char texts[COUNT][4];
    static json_value values[COUNT];
    const json_value *strings[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        const size_t number = i * 7919 % COUNT; /* 7919 is a prime: every number once */
        texts[i][0] = (char)('a' + number % 10), texts[i][1] = (char)('a' + number / 10 % 10);
        texts[i][2] = (char)('a' + number / 100);
        values[i] = (json_value){.kind = JSON_STRING, .text = texts[i], .text_size = 3};
    }
    for (size_t count = 0; count <= COUNT; count++) {
        for (size_t i = 0; i < count; i++) strings[i] = &values[i];
        CHECK(json_repeated(strings, count) == NULL);
    }
    for (size_t i = 1; i < COUNT; i++) CHECK(memcmp(strings[i - 1]->text, strings[i]->text, 3) < 0);
    memcpy(texts[COUNT - 1], texts[17], 3);
    CHECK(json_is(json_repeated(strings, COUNT), texts[17]));
}

/* A document of 1 MiB of each kind that could make a reader slow; a quadratic one would take minutes here. */
static void json_large(void) {
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE + 1);
    for (size_t at = 0, i = 0; i < 65000; i++) /* keys in falling order */
        at += (size_t)sprintf(text + at, "%c\"%06zu\":1", i ? ',' : '{', 99999 - i);
    memcpy(text + strlen(text), "}", 2);
    CHECK(reads(text, strlen(text)));
    for (size_t i = 0; i < SIZE; i++) text[i] = i % 2 ? '1' : i ? ',' : '[';
    CHECK(!reads(text, SIZE) && strstr(error, "too many values") != NULL);
    CHECK(!(text[2 * JSON_VALUES] = ']', reads(text, 2 * JSON_VALUES + 1)));
    CHECK((text[2 * JSON_VALUES - 2] = ']', reads(text, 2 * JSON_VALUES - 1)));
    memset(text, '[', SIZE);
    CHECK(!reads(text, SIZE));
    memset(text, '"', SIZE);
    memset(text + 1, 'x', SIZE - 2);
    CHECK(reads(text, SIZE));
    free(text);
}

int main(void) {
    RUN(sha256_vectors);
    RUN(json_values);
    RUN(json_accepts);
    RUN(json_refuses);
    RUN(json_depth);
    RUN(json_prefixes);
    RUN(json_repeats);
    RUN(json_keys_in_order);
    RUN(json_numbers);
    RUN(json_repeated_strings);
    RUN(json_large);
    return failures > 0;
}
