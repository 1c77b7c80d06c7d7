/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file: any text is either taken, with every number in its range, or refused with one line that names the file.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ka/conf.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct conf conf;
	char path[64], err[256] = "";
	size_t i;
	int rc;

	if (fd < 0)
		fd = memfd_create("conf", MFD_CLOEXEC);
	fuzz_require(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size,
			"memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	conf_default(&conf);
	rc = conf_load(&conf, path, err, sizeof(err));
	for (i = 0; i < sizeof(err) && err[i] != '\0'; i++)
		fuzz_require(err[i] != '\n', "one line");
	fuzz_require(i < sizeof(err), "the message ends");
	if (rc != 0) {
		fuzz_require(rc == -EINVAL && err[0] != '\0', "a refusal says why");
		return 0;
	}
	fuzz_require(conf.ports_n >= 0 && conf.ports_n <= CONF_PORTS_MAX, "ports");
	fuzz_require(conf.cpus_n >= 0 && conf.cpus_n <= ETA_CORES_MAX, "cpus");
	fuzz_require(conf.port_lo > 0 && conf.port_lo <= conf.port_hi && conf.port_hi < 65536,
			"port range");
	fuzz_require(conf.contexts_max > 0 && conf.sessions_max > 0 && conf.mbufs > 0, "sizes");
	fuzz_require(memchr(conf.socket, 0, sizeof(conf.socket)) != NULL, "socket ends");
	return 0;
}
