/* SPDX-License-Identifier: ISC */
#include <openssl/err.h>

#include "tls_in.h"

/* From OpenSSL's error to a reason about which a user can do something. */

const char *tls_reason_text(enum tls_reason reason)
{
	static const char *const texts[TLS_REASONS] = {
		[TLS_OK] = "no error",
		[TLS_WRONG_KEY] = "wrong key",
		[TLS_UNKNOWN_IDENTITY] = "unknown identity",
		[TLS_NO_KEY] = "it offered no key",
		[TLS_KEY_REFUSED] = "the key was refused",
		[TLS_KEY_UNUSED] = "the server did not use the key",
		[TLS_NOT_TLS] = "it does not speak TLS",
		[TLS_VERSION] = "it cannot do TLS 1.3",
		[TLS_NO_CIPHER] = "no common cipher",
		[TLS_TOO_LONG] = "the handshake is too long",
		[TLS_TRUNCATED] = "the stream was cut",
		[TLS_DAMAGED] = "a record was damaged or forged",
		[TLS_PEER_ALERT] = "it gave up",
		[TLS_PROTOCOL] = "that is no TLS 1.3 as it should be",
		[TLS_BROKEN] = "TLS failed here",
	};

	return (unsigned)reason < TLS_REASONS ? texts[reason] : "unknown";
}

void tls_note_alert(const SSL *ssl, int where, int value)
{
	struct tls *t = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
		t->alert = value & 0xff;
}

static enum tls_reason of_alert(const struct tls *t)
{
	if (t->state != TLS_HANDSHAKING)
		return TLS_PEER_ALERT;
	switch (t->alert) {
	case SSL_AD_PROTOCOL_VERSION:
		return TLS_VERSION;
	case SSL_AD_DECRYPT_ERROR:
	case SSL_AD_ILLEGAL_PARAMETER: /* OpenSSL's for a binder that does not verify */
	case SSL_AD_HANDSHAKE_FAILURE:
	case SSL_AD_UNKNOWN_PSK_IDENTITY:
	case SSL_AD_ACCESS_DENIED:
		return t->context->server ? TLS_PEER_ALERT : TLS_KEY_REFUSED;
	default:
		return TLS_PEER_ALERT;
	}
}

static enum tls_reason of_error(const struct tls *t, int reason)
{
	switch (reason) {
	case SSL_R_BINDER_DOES_NOT_VERIFY:
		return t->known ? TLS_WRONG_KEY : TLS_UNKNOWN_IDENTITY;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SHARED_GROUPS:
	case SSL_R_NO_SUITABLE_GROUPS:
		return t->context->server && !t->claimed && reason != SSL_R_NO_SHARED_CIPHER
			       ? TLS_NO_KEY
			       : TLS_NO_CIPHER;
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_CERTIFICATE_SET:
	case SSL_R_MISSING_SIGALGS_EXTENSION:
		return TLS_NO_KEY;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return TLS_KEY_UNUSED;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
		return TLS_VERSION;
	case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
	case SSL_R_DECRYPTION_FAILED:
	case SSL_R_BAD_RECORD_TYPE:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
	case SSL_R_LENGTH_TOO_SHORT:
		return t->state == TLS_HANDSHAKING ? TLS_PROTOCOL : TLS_DAMAGED;
	case ERR_R_MALLOC_FAILURE:
	case ERR_R_INTERNAL_ERROR:
		return TLS_BROKEN;
	default:
		return TLS_PROTOCOL;
	}
}

void tls_explain(struct tls *t)
{
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_REASON(e);

	t->detail = e ? ERR_reason_error_string(e) : NULL;
	if (t->too_long)
		t->reason = TLS_TOO_LONG;
	else if (t->alert >= 0)
		t->reason = of_alert(t);
	else
		t->reason = e ? of_error(t, reason) : TLS_PROTOCOL;
	ERR_clear_error();
}
