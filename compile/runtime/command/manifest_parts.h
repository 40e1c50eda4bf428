/* manifest_parts.h: the two parts of manifest_check. */
#ifndef TSM_MANIFEST_PARTS_H
#define TSM_MANIFEST_PARTS_H

#include "json.h"
#include "refusal.h"

/* Keys and kinds of values. */
int manifest_check_shape(const json_value *document, refusal *why);

/* What the fields are to each other; the shape was checked before. */
int manifest_check_relations(const json_value *document, refusal *why);

#endif
