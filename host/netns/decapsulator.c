/*
 * Stands in for the tunnel device of a real server (Linux: ipip, sit, ip6tnl, gre, fou), so that
 * the demo and the tests need no kernel module.
 *
 *     decapsulator DEVICE [GUE-PORT]
 *
 * Takes encapsulated packets from raw sockets (IPIP, 6in4, 4in6, 6in6, GRE) and from a UDP socket
 * (GUE), strips everything in front of the inner IPv4 or IPv6 header, and writes the rest to the
 * TUN device, where the kernel receives it as a tunnel device would have delivered it. The kernel
 * has reassembled the outer packet before, and verifies the inner checksums after.
 *
 * It only receives: real servers answer a client directly.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_SIZE_MAX 65536
#define RECEIVE_BUFFER_BYTES (16 << 20)
#define GUE_PORT_DEFAULT 6080
#define PROTOCOL_IPV4 4
#define PROTOCOL_IPV6 41
#define PROTOCOL_GRE 47
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

enum format { FORMAT_IP, FORMAT_GRE, FORMAT_GUE };

struct source {
    int family;
    int protocol;
    enum format format;
};

static const struct source SOURCES[] = {
    {AF_INET, PROTOCOL_IPV4, FORMAT_IP},   {AF_INET, PROTOCOL_IPV6, FORMAT_IP},
    {AF_INET, PROTOCOL_GRE, FORMAT_GRE},   {AF_INET6, PROTOCOL_IPV4, FORMAT_IP},
    {AF_INET6, PROTOCOL_IPV6, FORMAT_IP},  {AF_INET6, PROTOCOL_GRE, FORMAT_GRE},
    {AF_INET6, IPPROTO_UDP, FORMAT_GUE},
};
#define SOURCE_COUNT (sizeof(SOURCES) / sizeof(SOURCES[0]))

static void fail(const char *what) {
    fprintf(stderr, "decapsulator: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_tun(const char *name) {
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) fail("/dev/net/tun");
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
    return fd;
}

static int open_source(const struct source *source, uint16_t gue_port) {
    const int bytes = RECEIVE_BUFFER_BYTES, off = 0;
    const int is_udp = source->format == FORMAT_GUE;
    int fd = socket(source->family, is_udp ? SOCK_DGRAM : SOCK_RAW, source->protocol);
    if (fd < 0) fail("socket");
    /* A burst of the director must fit; the plain option stops at rmem_max. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    if (is_udp) {
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(gue_port)};
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) fail("V6ONLY");
        if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0) fail("bind");
    }
    return fd;
}

/* Each of these returns how many bytes are in front of the next header, or -1 for nonsense. */

static int outer_ipv4_length(const uint8_t *data, int length) {
    int header = length < 20 ? 0 : (data[0] & 0x0f) * 4;
    return header < 20 || header > length ? -1 : header;
}

static int gre_length(const uint8_t *data, int length) {
    int header = 4, type;
    if (length < 4) return -1;
    if (data[0] & 0x80) header += 4; /* checksum */
    if (data[0] & 0x20) header += 4; /* key */
    if (data[0] & 0x10) header += 4; /* sequence number */
    type = data[2] << 8 | data[3];
    return type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6 ? header : -1;
}

static int gue_length(const uint8_t *data, int length) {
    if (length < 4) return -1;
    /* Version 1 has no header: the first nibble is that of the inner packet. */
    if (data[0] >> 6 == 1) return 0;
    if (data[0] >> 6 != 0 || data[0] & 0x20) return -1; /* unknown, or a control message */
    return 4 + (data[0] & 0x1f) * 4;
}

static int inner_offset(const struct source *source, const uint8_t *data, int length) {
    int offset = 0, header = 0;
    /* Raw IPv4 sockets deliver the outer header, raw IPv6 and UDP sockets do not. */
    if (source->family == AF_INET) offset = outer_ipv4_length(data, length);
    if (offset < 0) return -1;
    if (source->format == FORMAT_GRE) header = gre_length(data + offset, length - offset);
    if (source->format == FORMAT_GUE) header = gue_length(data + offset, length - offset);
    return header < 0 || offset + header + 20 > length ? -1 : offset + header;
}

static void drain(const struct source *source, int fd, int tun) {
    static uint8_t packet[PACKET_SIZE_MAX];
    for (;;) {
        ssize_t length = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) return;
        int offset = inner_offset(source, packet, (int)length);
        if (offset < 0) continue;
        /* The device refuses a packet it cannot read; so would a tunnel device. */
        if (write(tun, packet + offset, (size_t)(length - offset)) < 0) continue;
    }
}

int main(int argc, char **argv) {
    struct pollfd polled[SOURCE_COUNT];
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: decapsulator DEVICE [GUE-PORT]\n");
        return 2;
    }
    uint16_t gue_port = argc == 3 ? (uint16_t)atoi(argv[2]) : GUE_PORT_DEFAULT;
    int tun = open_tun(argv[1]);
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        polled[i].fd = open_source(&SOURCES[i], gue_port);
        polled[i].events = POLLIN;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        if (poll(polled, SOURCE_COUNT, -1) < 0 && errno != EINTR) fail("poll");
        for (size_t i = 0; i < SOURCE_COUNT; i++)
            if (polled[i].revents) drain(&SOURCES[i], polled[i].fd, tun);
    }
}
