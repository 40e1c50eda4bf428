/* manifest.c: any bytes as a manifest: the JSON reader, the rules, and what a refusal says. */
#include "fuzz.h"
#include "manifest_rules.h"
#include "printable.h"

/* Walks through a document: every pointer and size is looked at. Returns the number of its values. */
static size_t walk(const json_value *value, size_t *bytes) {
    size_t values = 1, members = 0, by_key = 0;
    for (size_t i = 0; i < value->text_size; i++) *bytes += (unsigned char)value->text[i];
    ALWAYS(value->kind != JSON_STRING || value->text[value->text_size] == '\0');
    for (const json_value *m = value->first; m != NULL; m = m->next, members++) {
        ALWAYS((m->key != NULL) == (value->kind == JSON_OBJECT));
        values += walk(m, bytes);
    }
    for (const json_value *m = value->first_by_key; m != NULL; m = m->next_by_key, by_key++)
        ALWAYS(m->next_by_key == NULL || strcmp(m->key, m->next_by_key->key) <= 0);
    ALWAYS(members == value->count && by_key == (value->kind == JSON_OBJECT ? members : 0));
    return values;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_document d;
    refusal why = {0};
    char error[128] = "", *text = malloc(size + 1), shown[2048];
    ALWAYS(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (json_read(&d, text, size, error, sizeof error)) {
        size_t bytes = 0;
        ALWAYS(walk(d.values, &bytes) == d.used && d.used <= JSON_VALUES);
        const int good = manifest_check(d.values, &why);
        ALWAYS(good == (why.name == NULL));
        ALWAYS(good || strcmp(why.name, "manifest-malformed") == 0 || strcmp(why.name, "format-newer") == 0);
        ALWAYS(good || (why.text[0] != '\0' && strlen(why.text) < sizeof why.text));
        for (const char *c = why.text; *c != '\0'; c++) ALWAYS((unsigned char)*c >= ' ' || *c == '\n');
        json_free(&d);
    } else {
        ALWAYS(error[0] != '\0' && strlen(error) < sizeof error && d.values == NULL);
    }
    ALWAYS(strcmp(printable(shown, sizeof shown, error), error) == 0); /* a key in it is escaped already */
    free(text);
    return 0;
}
