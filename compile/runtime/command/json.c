/* json.c: a small strict reader of JSON. Grammar: RFC 8259, one function a rule. */
#include "json.h"

#include "json_text.h"
#include "printable.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void skip_space(json_reader *r) {
    while (r->at < r->end && strchr(" \t\n\r", *r->at) != NULL && *r->at != '\0') r->at++;
}

/* -- Numbers and words --------------------------------------------------------------------------------------------- */

static size_t digits(json_reader *r) {
    const char *from = r->at;
    while (*r->at >= '0' && *r->at <= '9') r->at++;
    return (size_t)(r->at - from);
}

static int read_number(json_reader *r, json_value *value) {
    const char *from = r->at;
    value->kind = JSON_INTEGER;
    if (*r->at == '-') r->at++;
    const int zero = *r->at == '0';
    const size_t whole = digits(r);
    if (whole == 0 || (zero && whole > 1)) return json_wrong(r, "bad number");
    if (*r->at == '.') {
        value->kind = JSON_REAL;
        r->at++;
        if (digits(r) == 0) return json_wrong(r, "bad number");
    }
    if (*r->at == 'e' || *r->at == 'E') {
        value->kind = JSON_REAL;
        r->at++;
        if (*r->at == '+' || *r->at == '-') r->at++;
        if (digits(r) == 0) return json_wrong(r, "bad number");
    }
    if (r->at - from > JSON_NUMBER) return json_wrong(r, "a number of too many characters");
    value->number = strtod(from, NULL);
    return isfinite(value->number) || json_wrong(r, "a number beyond every double");
}

static int read_word(json_reader *r, json_value *value) {
    static const struct {
        const char *word;
        json_kind kind;
    } words[] = {{"null", JSON_NULL}, {"false", JSON_FALSE}, {"true", JSON_TRUE}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const size_t size = strlen(words[i].word);
        if ((size_t)(r->end - r->at) < size || memcmp(r->at, words[i].word, size) != 0) continue;
        r->at += size;
        value->kind = words[i].kind;
        return 1;
    }
    return json_wrong(r, "no JSON value");
}

/* -- Keys in order ------------------------------------------------------------------------------------------------ */

static int compare(const char *a, size_t a_size, const char *b, size_t b_size) {
    const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_keys(const json_value *a, const json_value *b) {
    return compare(a->key, a->key_size, b->key, b->key_size);
}

static json_value *merge(json_value *a, json_value *b) {
    json_value *first = NULL, **link = &first;
    while (a != NULL && b != NULL) {
        json_value **least = compare_keys(a, b) <= 0 ? &a : &b;
        *link = *least;
        link = &(*least)->next_by_key;
        *least = *link;
    }
    *link = a != NULL ? a : b;
    return first;
}

/* Merge sort: takes count > 0 members from *rest on and returns the first of them by key. qsort may be quadratic. */
static json_value *sort(json_value **rest, size_t count) {
    if (count == 1) {
        json_value *only = *rest;
        *rest = only->next;
        return only;
    }
    json_value *half = sort(rest, count / 2);
    return merge(half, sort(rest, count - count / 2));
}

static int sort_keys(json_reader *r, json_value *object) {
    json_value *rest = object->first;
    if (object->count > 0) object->first_by_key = sort(&rest, object->count);
    for (const json_value *m = object->first_by_key; m != NULL && m->next_by_key != NULL; m = m->next_by_key) {
        char what[96], shown[64];
        if (compare_keys(m, m->next_by_key) != 0) continue;
        snprintf(what, sizeof what, "the key '%s' occurs twice", printable(shown, sizeof shown, m->key));
        return json_wrong(r, what);
    }
    return 1;
}

/* -- Values -------------------------------------------------------------------------------------------------------- */

static int read_value(json_reader *r, json_value *value, int depth);

static int read_key(json_reader *r, json_value *member) {
    if (*r->at != '"') return json_wrong(r, "a key must be a string");
    if (!json_string(r, &member->key, &member->key_size)) return 0;
    skip_space(r);
    if (*r->at != ':') return json_wrong(r, "expected ':'");
    r->at++;
    return 1;
}

static int read_members(json_reader *r, json_value *value, char close, int depth) {
    json_value **link = &value->first;
    if (depth >= JSON_DEPTH) return json_wrong(r, "nested too deep");
    r->at++;
    skip_space(r);
    if (*r->at == close) return r->at++, 1;
    for (;;) {
        if (r->document->used >= JSON_VALUES) return json_wrong(r, "too many values");
        json_value *member = &r->document->values[r->document->used++];
        *link = member;
        link = &member->next;
        value->count++;
        skip_space(r);
        if (close == '}' && !read_key(r, member)) return 0;
        if (!read_value(r, member, depth + 1)) return 0;
        skip_space(r);
        if (*r->at == close) return r->at++, close == ']' || sort_keys(r, value);
        if (*r->at != ',') return json_wrong(r, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        r->at++;
    }
}

static int read_value(json_reader *r, json_value *value, int depth) {
    skip_space(r);
    const char c = *r->at;
    if (c == '{' || c == '[') {
        value->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        return read_members(r, value, c == '{' ? '}' : ']', depth);
    }
    if (c == '"') {
        value->kind = JSON_STRING;
        return json_string(r, &value->text, &value->text_size);
    }
    return c == '-' || (c >= '0' && c <= '9') ? read_number(r, value) : read_word(r, value);
}

int json_read(json_document *document, char *text, size_t size, char *error, size_t error_size) {
    json_reader r = {text, text + size, text, document, error, error_size};
    size_t most = 1; /* every value but the first follows one of these */
    for (size_t i = 0; i < size; i++) most += text[i] == ',' || text[i] == '[' || text[i] == '{';
    if (most > JSON_VALUES) most = JSON_VALUES;
    document->used = 1;
    document->values = calloc(most, sizeof *document->values);
    if (document->values == NULL) return json_wrong(&r, "out of memory");
    int good = json_utf8(&r) && read_value(&r, document->values, 0);
    skip_space(&r);
    if (good && r.at != r.end) good = json_wrong(&r, "something after the end of the document");
    if (!good) json_free(document);
    return good;
}

void json_free(json_document *document) {
    free(document->values);
    document->values = NULL;
    document->used = 0;
}

/* -- Questions ----------------------------------------------------------------------------------------------------- */

const json_value *json_member(const json_value *object, const char *key) {
    if (object == NULL || object->kind != JSON_OBJECT) return NULL;
    for (const json_value *m = object->first; m != NULL; m = m->next)
        if (m->key_size == strlen(key) && memcmp(m->key, key, m->key_size) == 0) return m;
    return NULL;
}

int json_is(const json_value *value, const char *text) {
    return value != NULL && value->kind == JSON_STRING && value->text_size == strlen(text) &&
           memcmp(value->text, text, value->text_size) == 0;
}

int json_is_word(const json_value *v, const char *words) {
    char between[32];
    if (v->kind != JSON_STRING || v->text_size + 3 > sizeof between || strpbrk(v->text, " ") != NULL) return 0;
    const int size = snprintf(between, sizeof between, " %s ", v->text);
    return (size_t)size == v->text_size + 2 && strstr(words, between) != NULL;
}

static int compare_strings(const json_value *a, const json_value *b) {
    return compare(a->text, a->text_size, b->text, b->text_size);
}

/* Moves strings[root] down until it is the largest of its heap. */
static void sift(const json_value **strings, size_t root, size_t count) {
    const json_value *moved = strings[root];
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare_strings(strings[child], strings[child + 1]) < 0) child++;
        if (compare_strings(moved, strings[child]) >= 0) break;
        strings[root] = strings[child];
    }
    strings[root] = moved;
}

const json_value *json_repeated(const json_value **strings, size_t count) {
    for (size_t root = count / 2; root-- > 0;) sift(strings, root, count);
    for (size_t end = count; end-- > 1;) { /* heapsort: no memory, and never quadratic */
        const json_value *largest = strings[0];
        strings[0] = strings[end];
        strings[end] = largest;
        sift(strings, 0, end);
    }
    for (size_t i = 1; i < count; i++)
        if (compare_strings(strings[i - 1], strings[i]) == 0) return strings[i];
    return NULL;
}
