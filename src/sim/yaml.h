/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * YAML with places: a document's nodes, taken apart with errors that say where, quote the bad word
 * and list the legal ones.
 */
#ifndef CBIT_SIM_YAML_H
#define CBIT_SIM_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yaml.h>

/* @message: the first error, allocated. */
struct yaml_in {
	const char *file;
	yaml_document_t doc;
	bool loaded;
	char *message;
};

int yaml_in_load(struct yaml_in *in, const char *file, const char *text, size_t len);
void yaml_in_free(struct yaml_in *in);

/* Each returns -EINVAL with the message set, unless one was set before. */
int yaml_error(struct yaml_in *in, const yaml_node_t *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int yaml_error_word(struct yaml_in *in, const yaml_node_t *at, const char *what,
		    const char *const *legal, size_t count);

bool yaml_is_map(const yaml_node_t *node);
bool yaml_is_list(const yaml_node_t *node);
/* The text of a scalar; NULL with an error for another node. */
const char *yaml_text(struct yaml_in *in, const yaml_node_t *node, const char *what);

/* Pairs of a mapping one by one, false after the last. */
bool yaml_pair(struct yaml_in *in, const yaml_node_t *map, unsigned int index, yaml_node_t **key,
	       yaml_node_t **value);
/* Items of a list, NULL after the last. */
yaml_node_t *yaml_item(struct yaml_in *in, const yaml_node_t *list, unsigned int index);
/* The value of @key in @map, NULL if it is not there. */
yaml_node_t *yaml_get(struct yaml_in *in, const yaml_node_t *map, const char *key);
/* @map is a mapping, with no key that is not in @legal and none twice. */
int yaml_check_keys(struct yaml_in *in, const yaml_node_t *map, const char *what,
		    const char *const *legal, size_t count);

/* Scalars. A NULL @node leaves *@out alone. */
int yaml_word(struct yaml_in *in, const yaml_node_t *node, const char *what,
	      const char *const *legal, size_t count, unsigned int *out);
int yaml_number(struct yaml_in *in, const yaml_node_t *node, const char *what, uint64_t max,
		uint64_t *out);
int yaml_bool(struct yaml_in *in, const yaml_node_t *node, const char *what, bool *out);
/* "70 65 65" or "706565": at most @max bytes. */
int yaml_hex(struct yaml_in *in, const yaml_node_t *node, const char *what, uint8_t *out,
	     size_t max, size_t *len);

#endif
