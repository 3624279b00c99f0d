/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * api: the brackets around what a public header declares, and the version of the library.
 *
 * The library is compiled with everything hidden. What stands between CBIT_API_BEGIN and
 * CBIT_API_END is exported, and has C linkage in C++ too; so the public headers are the list of
 * what there is, and nothing else can be reached.
 */
#ifndef CBIT_API_H
#define CBIT_API_H

#ifdef __cplusplus
#define CBIT_API_BEGIN                                     \
	_Pragma("GCC visibility push(default)") extern "C" \
	{
#define CBIT_API_END \
	}            \
	_Pragma("GCC visibility pop")
#else
#define CBIT_API_BEGIN _Pragma("GCC visibility push(default)")
#define CBIT_API_END   _Pragma("GCC visibility pop")
#endif

/*
 * CBIT_VALUE - a value of a struct of one member: a compound literal in C, which C++ does not have.
 */
#ifdef __cplusplus
#define CBIT_VALUE(type, x) (type{ (x) })
#else
#define CBIT_VALUE(type, x) ((struct type){ (x) })
#endif

/* The version of these headers; cbit_version() is that of the library at hand. */
#define CBIT_VERSION_MAJOR 0
#define CBIT_VERSION_MINOR 1
#define CBIT_VERSION_PATCH 0

CBIT_API_BEGIN

/**
 * cbit_version() - the version of the library that is linked, "MAJOR.MINOR.PATCH".
 * Return: a static string. Any thread.
 */
const char *cbit_version(void);

CBIT_API_END

#endif
