/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start, run, end of the kernel agent and the engine it drives.
 */
#include "ka/etad.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "ka/eal.h"
#include "ka/etad_tell.h"
#include "ka/show.h"

#define ETAD_END_MS 1500 /* sessions may take this long to be released */
#define ETAD_INJECT_MBUFS 255u
#define ETAD_INJECT_ROOM UINT16_MAX /* all an mbuf can have; the TAP keeps superframes below it */

static int __attribute__((format(printf, 4, 5)))
etad_fail(int rc, char *err, size_t err_len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(err, err_len, format, args);
	va_end(args);
	return rc;
}

/* ---- start ---- */

static int etad_configure(struct ka *ka, const struct etad_args *args, char *err, size_t err_len)
{
	int rc = 0;

	conf_default(&ka->conf);
	if (args->config || access(CONF_PATH_DEFAULT, F_OK) == 0)
		rc = conf_load(&ka->conf, args->config ? args->config : CONF_PATH_DEFAULT, err,
				err_len);
	if (rc < 0)
		return rc;
	if (args->socket)
		(void)snprintf(ka->conf.socket, sizeof(ka->conf.socket), "%s", args->socket);
	if (log_level_set(args->log_level ? args->log_level : ka->conf.log_level) < 0)
		return etad_fail(-EINVAL, err, err_len,
				"log level '%s' is none of: error, warn, info, debug",
				args->log_level ? args->log_level : ka->conf.log_level);
	if (ka->conf.ports_n == 0)
		return etad_fail(-EINVAL, err, err_len,
				"no port is configured; put ports = ( { name = \"packet:eth0\"; } ); into %s",
				args->config ? args->config : CONF_PATH_DEFAULT);
	return 0;
}

/* Engine cores get the CPUs named, or the last one we may use; KA the others, or all if none is left. */
static int etad_choose_cpus(struct ka *ka, int *main_cpu, char *err, size_t err_len)
{
	cpu_set_t rest;
	uint32_t cores_n = ka->conf.cpus_n > 0 ? (uint32_t)ka->conf.cpus_n : 1;

	if (sched_getaffinity(0, sizeof(ka->cpus_allowed), &ka->cpus_allowed) < 0)
		return etad_fail(-errno, err, err_len, "CPU affinity: %s", strerror(errno));
	rest = ka->cpus_allowed;
	for (uint32_t i = 0; i < cores_n; i++) {
		int cpu = CPU_SETSIZE - 1;

		if (ka->conf.cpus_n > 0)
			cpu = (int)ka->conf.cpus[i];
		else
			while (cpu > 0 && !CPU_ISSET(cpu, &ka->cpus_allowed))
				cpu--;
		if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &ka->cpus_allowed))
			return etad_fail(-EINVAL, err, err_len,
					"cores: CPU %d is not there or not allowed to etad", cpu);
		ka->core[i].cpu = CPU_COUNT(&ka->cpus_allowed) > 1 ? cpu : -1;
		CPU_CLR(cpu, &rest);
	}
	ka->cores_n = cores_n;
	ka->cpus_ka = CPU_COUNT(&rest) > 0 ? rest : ka->cpus_allowed;
	*main_cpu = 0;
	while (!CPU_ISSET(*main_cpu, &ka->cpus_ka))
		(*main_cpu)++;
	return 0;
}

static int etad_start_loop(struct ka *ka, char *err, size_t err_len)
{
	sigset_t set;
	int rc;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	rc = loop_init(&ka->loop);
	if (rc < 0)
		return etad_fail(rc, err, err_len, "epoll: %s", strerror(-rc));
	ka->signals = (struct loop_watch){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
			.events = EPOLLIN,
			.on_ready = etad_on_signal,
			.arg = ka};
	rc = ka->signals.fd < 0 ? -errno : loop_add(&ka->loop, &ka->signals);
	return rc < 0 ? etad_fail(rc, err, err_len, "signalfd: %s", strerror(-rc)) : 0;
}

static int etad_start_memory(struct ka *ka, int main_cpu, char *err, size_t err_len)
{
	size_t bytes = (size_t)ka->cores_n * ETA_PAGE_BYTES;
	int rc = eal_start(&ka->conf, main_cpu, &ka->is_huge, err, err_len);

	if (rc < 0)
		return rc;
	ka->is_eal_up = true;
	/* EAL quietens everything; our levels anew. */
	(void)log_level_set(ka->log_level);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(ka->cpus_ka), &ka->cpus_ka);
	if (!ka->is_huge)
		log_warn("hugepages=no reason=\"%s\" effect=\"ordinary pages: slower, otherwise the same\"",
				ka->conf.hugepages == CONF_HUGE_NO
						? "configured"
						: "none to be had; scripts/setup reserves them");
	rc = mem_init(&ka->mem, ka->conf.hugepages != CONF_HUGE_NO && mem_huge_works(),
			(int)rte_socket_id() > 0 ? (int)rte_socket_id() : -1);
	if (rc < 0)
		return etad_fail(rc, err, err_len, "shared memory: %s", strerror(-rc));
	ka->core_pages = mem_page_create(bytes, &ka->core_pages_fd);
	ka->show_rows = calloc(SHOW_ROWS, sizeof(struct eta_ctx_row));
	ka->inject_pool = rte_pktmbuf_pool_create(
			"ka_inject", ETAD_INJECT_MBUFS, 0, 0, ETAD_INJECT_ROOM, SOCKET_ID_ANY);
	if (!ka->core_pages || !ka->show_rows || !ka->inject_pool)
		return etad_fail(-ENOMEM, err, err_len,
				"no memory for the kernel agent; raise memory.eal_mib (now %" PRId64
				")",
				ka->conf.eal_mib);
	ka->epoch = (uint32_t)time(NULL);
	for (uint32_t i = 0; i < ka->cores_n; i++) {
		ka->core_page[i] = (struct eta_core_page *)(ka->core_pages +
							    (size_t)i * ETA_PAGE_BYTES);
		ka->core_page[i]->abi = ETA_ABI_VERSION;
		ka->core_page[i]->epoch = ka->epoch;
		ka->core_page[i]->tsc_hz = rte_get_tsc_hz();
	}
	ka->spoiled = (struct loop_watch){.fd = ka->mem.spoiled_fd,
			.events = EPOLLIN,
			.on_ready = etad_on_spoiled,
			.arg = ka};
	return loop_add(&ka->loop, &ka->spoiled);
}

static int etad_start_engine(struct ka *ka, char *err, size_t err_len)
{
	const struct conf *conf = &ka->conf;
	struct engine_conf ec = {
			.cores_n = ka->cores_n,
			.socket_id = SOCKET_ID_ANY,
			.contexts_max = (uint32_t)conf->contexts_max,
			.embryos_max = (uint32_t)conf->embryos_max,
			.embryos_src_pct = (uint32_t)conf->embryos_src_pct,
			.syn_cookies_off = !conf->syn_cookies,
			.fastopen = (uint8_t)conf->fastopen,
			.sessions_max = (uint32_t)conf->sessions_max + 1, /* numbers begin at 1 */
			.mbufs_n = (uint32_t)conf->mbufs,
			.idle = (enum engine_idle)conf->idle,
			.idle_spin_us = (uint32_t)conf->idle_spin_us,
			.local_turnaround = conf->local_turnaround,
			.loopback = conf->loopback,
			.port_lo = ka->ports.lo,
			.port_hi = ka->ports.hi,
			.cc_default = (uint8_t)conf->congestion,
			.ecn = (uint8_t)conf->ecn,
			.pacing = conf->pacing,
			.idle_keeps_cwnd = !conf->slow_start_after_idle,
			.rcv_bytes_max = (uint32_t)conf->rcv_bytes_max,
			.snd_bytes_max = (uint32_t)conf->snd_bytes_max,
			.delack_us = (uint32_t)conf->delack_us,
			.rto_us_min = (uint32_t)conf->rto_us_min,
			.msl_ms = (uint32_t)conf->msl_ms,
			.tsc_hz = rte_get_tsc_hz(),
			.ports_n = ka->ports_n,
	};
	int rc;

	for (uint32_t i = 0; i < ka->cores_n; i++)
		ec.lcore_cpu[i] = ka->core[i].cpu;
	for (uint32_t i = 0; i < ka->ports_n; i++)
		ec.port[i] = ka->port[i].port;
	if (getrandom(ec.isn_key, sizeof(ec.isn_key), 0) != (ssize_t)sizeof(ec.isn_key) ||
			getrandom(ec.fastopen_key, sizeof(ec.fastopen_key), 0) !=
					(ssize_t)sizeof(ec.fastopen_key))
		return etad_fail(-EIO, err, err_len, "getrandom: %s", strerror(errno));
	(void)conf_fastopen_key(conf, ec.fastopen_key);
	ka->engine = engine_create(&ec, ka->core_page, err, err_len);
	if (!ka->engine)
		return -ENOMEM;
	rc = irq_init(&ka->irq, &ka->loop, ka->engine, ka->cores_n, &etad_irq_ops, ka);
	if (rc < 0)
		return etad_fail(rc, err, err_len, "rings to the engine: %s", strerror(-rc));
	sysctl_start(ka);
	return 0;
}

static int etad_start_tables(struct ka *ka, char *err, size_t err_len)
{
	socklen_t len = sizeof(ka->netns_cookie);
	int sock, rc;

	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &ka->netns_cookie, &len) <
					0) {
		rc = -errno;
		if (sock >= 0)
			(void)close(sock);
		return etad_fail(rc, err, err_len, "network namespace: %s (needs Linux 5.14)",
				strerror(-rc));
	}
	(void)close(sock);
	rc = own_init(&ka->own, ka);
	if (rc == 0)
		rc = res_init(&ka->res, ka, (uint32_t)ka->conf.sessions_max);
	if (rc == 0)
		rc = sockdiag_init(&ka->sockdiag, &ka->loop, &etad_sockdiag_ops, ka);
	if (rc < 0)
		return etad_fail(rc, err, err_len, "tables of the kernel agent: %s", strerror(-rc));
	rc = netlink_init(&ka->netlink, &ka->loop, &etad_netlink_ops, ka);
	for (uint32_t i = 0; rc == 0 && i < ka->ports_n; i++)
		netlink_port(&ka->netlink, i, ka->port[i].ifindex);
	ka->netlink.has_loopback = ka->conf.loopback;
	if (rc == 0)
		rc = netlink_start(&ka->netlink);
	return rc < 0 ? etad_fail(rc, err, err_len, "netlink: %s", strerror(-rc)) : 0;
}

static void *etad_core_main(void *arg)
{
	struct ka_core *core = arg;

	if (rte_thread_register() == 0) {
		core_run(core->core);
		rte_thread_unregister();
	}
	return NULL;
}

static int etad_start_cores(struct ka *ka, char *err, size_t err_len)
{
	for (uint32_t i = 0; i < ka->cores_n; i++) {
		struct ka_core *core = &ka->core[i];
		pthread_attr_t attr;
		cpu_set_t set;
		int rc;

		core->core = engine_core(ka->engine, i);
		(void)pthread_attr_init(&attr);
		CPU_ZERO(&set);
		if (core->cpu >= 0) {
			CPU_SET(core->cpu, &set);
			(void)pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
		}
		rc = pthread_create(&core->thread, &attr, etad_core_main, core);
		(void)pthread_attr_destroy(&attr);
		if (rc != 0)
			return etad_fail(-rc, err, err_len, "thread of engine core %u: %s", i,
					strerror(rc));
		core->is_running = true;
		(void)pthread_setname_np(core->thread, "eta-core");
	}
	return 0;
}

static void etad_notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t len;
	int fd;

	if (!path || !*path || strlen(path) >= sizeof(addr.sun_path))
		return;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr, len);
	(void)close(fd);
}

static void etad_say_ready(const struct ka *ka)
{
	uint64_t bytes = engine_memory_bytes(ka->engine) + ka->mem.bytes;

	(void)printf("etad ready socket=%s ports=", ka->server.path);
	for (uint32_t i = 0; i < ka->ports_n; i++)
		(void)printf("%s%s(%s%s%s)", i ? "," : "", ka->port[i].port->name,
				ka->port[i].is_shared ? "shared" : "tap",
				ka->port[i].is_shared ? "" : "=",
				ka->port[i].is_shared ? "" : ka->port[i].tap.name);
	(void)printf(" cores=%u hugepages=%s memory_bytes=%" PRIu64 "\n", ka->cores_n,
			ka->is_huge ? "yes" : "no", bytes);
	(void)fflush(stdout);
	etad_notify_systemd("READY=1\n");
}

static int etad_start_all(struct ka *ka, const struct etad_args *args, char *err, size_t err_len)
{
	int main_cpu = 0;
	int rc = etad_configure(ka, args, err, err_len);

	ka->is_conf_bad = rc < 0;
	if (rc < 0)
		return rc;
	(void)snprintf(ka->log_level, sizeof(ka->log_level), "%s",
			args->log_level ? args->log_level : ka->conf.log_level);
	if (!portset_has_caps())
		return etad_fail(-EPERM, err, err_len,
				"etad must run as root (it needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF)");
	rc = etad_start_loop(ka, err, err_len);
	if (rc == 0)
		rc = server_open(&ka->server, ka, ka->conf.socket, conf_socket_mode(&ka->conf),
				ka->conf.socket_group, err, err_len);
	if (rc == 0)
		rc = etad_choose_cpus(ka, &main_cpu, err, err_len);
	if (rc == 0)
		rc = portset_check(ka, err, err_len);
	if (rc == 0)
		rc = etad_start_memory(ka, main_cpu, err, err_len);
	if (rc == 0)
		rc = ports_take(&ka->ports, (uint16_t)ka->conf.port_lo, (uint16_t)ka->conf.port_hi,
				err, err_len);
	if (rc == 0)
		rc = portset_open(ka, err, err_len);
	if (rc == 0)
		rc = etad_start_engine(ka, err, err_len);
	if (rc == 0)
		rc = etad_start_tables(ka, err, err_len);
	if (rc == 0)
		rc = etad_start_cores(ka, err, err_len);
	return rc;
}

int etad_start(struct ka *ka, const struct etad_args *args, char *err, size_t err_len)
{
	int rc;

	memset(ka, 0, sizeof(*ka));
	ka->loop.epoll_fd = ka->signals.fd = ka->spoiled.fd = ka->core_pages_fd = -1;
	ka->load.loadavg_fd = ka->load.pressure_fd = -1;
	for (uint32_t i = 0; i < CONF_PORTS_MAX; i++)
		portset_clear(&ka->port[i], ka, i);
	err[0] = '\0';
	rc = etad_start_all(ka, args, err, err_len);
	if (rc < 0) {
		if (err[0] == '\0')
			(void)etad_fail(rc, err, err_len, "cannot start: %s", strerror(-rc));
		etad_stop(ka);
		return rc;
	}
	for (uint32_t i = 0; i < ka->ports_n; i++) {
		ka->port[i].tap_watch = (struct loop_watch){.fd = ka->port[i].tap.fd,
				.events = EPOLLIN,
				.on_ready = etad_on_tap,
				.arg = &ka->port[i]};
		(void)loop_add(&ka->loop, &ka->port[i].tap_watch);
	}
	load_open(&ka->load, "/proc/loadavg", "/proc/pressure/cpu");
	ka->tick = (struct loop_timer){.on_due = etad_on_tick, .arg = ka};
	loop_timer_arm(&ka->loop, &ka->tick, ETAD_TICK_MS);
	etad_say_ready(ka);
	return 0;
}

void etad_run(struct ka *ka)
{
	loop_run(&ka->loop);
}

void etad_ask_stop(struct ka *ka)
{
	ka->loop.is_stopping = true;
}

/* ---- end ---- */

static void etad_end_sessions(struct ka *ka)
{
	struct eta_ctl_notify_end msg = {.hdr = {.type = ETA_CTL_NOTIFY_END}, .grace_ms = 0};
	uint64_t until_ms = loop_now_ms() + ETAD_END_MS;

	for (struct client *c = ka->clients, *next; c; c = next) {
		next = c->next;
		if (c->session)
			(void)client_send(c, &msg, sizeof(msg), NULL, 0);
	}
	for (uint32_t i = 1; i <= ka->res.sessions_max; i++) {
		struct session *s = ka->res.session[i];

		if (s && s->state != SESSION_ENDING && s->state != SESSION_DEAD) {
			res_share_drop_all(s);
			res_session_end(s, true, "etad ends");
		}
	}
	while (irq_pending(&ka->irq) > 0 && loop_now_ms() < until_ms)
		(void)loop_turn(&ka->loop, 10);
}

static void etad_stop_cores(struct ka *ka)
{
	bool any = false;

	for (uint32_t i = 0; i < ka->cores_n; i++)
		any |= ka->core[i].is_running;
	if (!any)
		return;
	if (ka->res.session)
		etad_end_sessions(ka);
	for (uint32_t i = 0; i < ka->cores_n; i++)
		if (ka->core[i].is_running)
			irq_stop(&ka->irq, i);
	for (uint32_t i = 0; i < ka->cores_n; i++) {
		if (ka->core[i].is_running)
			(void)pthread_join(ka->core[i].thread, NULL);
		ka->core[i].is_running = false;
	}
}

void etad_stop(struct ka *ka)
{
	ka->is_ending = true;
	etad_notify_systemd("STOPPING=1\n");
	server_close(&ka->server);
	etad_stop_cores(ka);
	while (ka->clients)
		client_drop(ka->clients);
	netlink_fini(&ka->netlink);
	res_fini(&ka->res);
	sockdiag_fini(&ka->sockdiag);
	own_fini(&ka->own);
	if (ka->irq.loop)
		irq_fini(&ka->irq);
	if (ka->engine)
		engine_destroy(ka->engine);
	portset_close(ka);
	ports_release(&ka->ports);
	rte_mempool_free(ka->inject_pool);
	loop_del(&ka->loop, &ka->spoiled);
	mem_fini(&ka->mem);
	if (ka->core_pages)
		(void)munmap(ka->core_pages, (size_t)ka->cores_n * ETA_PAGE_BYTES);
	if (ka->core_pages_fd >= 0)
		(void)close(ka->core_pages_fd);
	load_close(&ka->load);
	free(ka->show_rows);
	if (ka->signals.fd >= 0)
		(void)close(ka->signals.fd);
	loop_fini(&ka->loop);
	if (ka->is_eal_up)
		eal_stop();
}
