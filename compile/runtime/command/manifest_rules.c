/* manifest_rules.c: what a manifest.json of format 3 must contain. */
#include "manifest_rules.h"

#include "manifest_parts.h"

int manifest_check(const json_value *document, refusal *why) {
    if (document->kind != JSON_OBJECT) return refuse_value(why, "the document", "an object");
    const json_value *format = json_member(document, "format");
    if (format == NULL || format->kind != JSON_INTEGER || format->number < (double)BUNDLE_FORMAT)
        return refuse_value(why, "format", "3");
    if (format->number > (double)BUNDLE_FORMAT)
        return refuse(why, "format-newer",
                      "This bundle was written by a newer tsm-edge.\n  found: format %.0f\n  allowed: format %d\n"
                      "  hint: copy a tsm-edge-run of the version that compiled it", format->number, BUNDLE_FORMAT);
    return manifest_check_shape(document, why) && manifest_check_relations(document, why);
}
