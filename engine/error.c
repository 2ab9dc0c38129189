/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

/* Results in words, and the version. Pure: any thread may be in it at any time. */

static const struct {
	int error;
	const char *text;
} texts[] = {
	{0, "done"},
	{EAGAIN, "full or empty just now"},
	{ETIMEDOUT, "timed out"},
	{EPIPE, "the queue is shut down"},
	{EIDRM, "the queue has been removed"},
	{EPERM, "the queue is another user's"},
	{EMSGSIZE, "the message is too large"},
	{ESTALE, "the lease had ended: the message was given to another"},
	{ENOENT, "no such queue"},
	{EEXIST, "there is a queue of that name already"},
	{EACCES, "not allowed"},
	{EPROTO, "not a queue of this version, or damaged"},
	{EBADMSG, "the queue's memory has been damaged"},
	{EBADF, "the handle belongs to the process that forked this one"},
	{EUSERS, "as many participants as the queue has room for"},
	{EBUSY, "in use"},
	{ENOSPC, "no room"},
	{EINVAL, "an argument is out of its limits"},
};

const char *sq_strerror(int error)
{
	const char *text;

	if (error < 0)
		error = error == INT_MIN ? INT_MAX : -error;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].error == error)
			return texts[i].text;
	text = strerrordesc_np(error);
	return text ? text : "an unknown error";
}

const char *sq_version(void)
{
	return SQ_VERSION;
}
