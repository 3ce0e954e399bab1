#define _GNU_SOURCE
#include "interface.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/xdp_diag.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif

// A link's description is a few KiB; interfaces with many virtual functions need more.
#define ANSWER_MAX (256 * 1024)

// Sends one request and hands every message of the answer to `take`, until the kernel is done.
typedef void (*take_message)(const struct nlmsghdr *message, void *context);

static int take_answer(int fd, uint8_t *answer, take_message take, void *context) {
  for (;;) {
    ssize_t received = recv(fd, answer, ANSWER_MAX, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return -errno;
    int left = (int)received;
    for (struct nlmsghdr *message = (struct nlmsghdr *)answer; NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return 0;
      if (message->nlmsg_type == NLMSG_ERROR) {
        return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
      }
      take(message, context);
      if ((message->nlmsg_flags & NLM_F_MULTI) == 0) return 0;
    }
  }
}

static int ask(int protocol, const struct nlmsghdr *request, take_message take, void *context) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -errno;
  uint8_t *answer = malloc(ANSWER_MAX);
  int result = -ENOMEM;
  if (answer != NULL) {
    result = send(fd, request, request->nlmsg_len, 0) < 0 ? -errno
                                                          : take_answer(fd, answer, take, context);
  }
  free(answer);
  close(fd);
  return result;
}

static uint32_t attribute_u32(const struct rtattr *attribute) {
  uint32_t value = 0;
  if (RTA_PAYLOAD(attribute) >= sizeof(value)) memcpy(&value, RTA_DATA(attribute), sizeof(value));
  return value;
}

static void attribute_string(const struct rtattr *attribute, char *out, size_t capacity) {
  size_t length = strnlen(RTA_DATA(attribute), RTA_PAYLOAD(attribute));
  if (length >= capacity) length = capacity - 1;
  memcpy(out, RTA_DATA(attribute), length);
  out[length] = '\0';
}

static void read_xdp(const struct rtattr *nested, struct interface_info *out) {
  int left = (int)RTA_PAYLOAD(nested);
  for (const struct rtattr *attribute = RTA_DATA(nested); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type == IFLA_XDP_ATTACHED && RTA_PAYLOAD(attribute) >= 1) {
      out->xdp_attached = *(const uint8_t *)RTA_DATA(attribute);
    }
    if (attribute->rta_type == IFLA_XDP_PROG_ID) out->xdp_program_id = attribute_u32(attribute);
  }
}

static void read_kind(const struct rtattr *nested, struct interface_info *out) {
  int left = (int)RTA_PAYLOAD(nested);
  for (const struct rtattr *attribute = RTA_DATA(nested); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type == IFLA_INFO_KIND) {
      attribute_string(attribute, out->kind, sizeof(out->kind));
    }
  }
}

static void read_attribute(const struct rtattr *attribute, struct interface_info *out) {
  switch (attribute->rta_type & NLA_TYPE_MASK) {
    case IFLA_IFNAME:
      attribute_string(attribute, out->name, sizeof(out->name));
      break;
    case IFLA_MTU:
      out->mtu = attribute_u32(attribute);
      break;
    case IFLA_NUM_RX_QUEUES:
      out->rx_queues = attribute_u32(attribute);
      break;
    case IFLA_NUM_TX_QUEUES:
      out->tx_queues = attribute_u32(attribute);
      break;
    case IFLA_ADDRESS:
      if (RTA_PAYLOAD(attribute) != MAC_LENGTH) break;
      memcpy(out->mac, RTA_DATA(attribute), MAC_LENGTH);
      out->mac_length = MAC_LENGTH;
      break;
    case IFLA_XDP:
      read_xdp(attribute, out);
      break;
    case IFLA_LINKINFO:
      read_kind(attribute, out);
      break;
    default:
      break;
  }
}

static void take_link(const struct nlmsghdr *message, void *context) {
  struct interface_info *out = context;
  if (message->nlmsg_type != RTM_NEWLINK) return;
  const struct ifinfomsg *link = NLMSG_DATA(message);
  out->index = (uint32_t)link->ifi_index;
  out->flags = link->ifi_flags;
  int left = (int)IFLA_PAYLOAD(message);
  for (const struct rtattr *attribute = IFLA_RTA(link); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    read_attribute(attribute, out);
  }
}

int interface_read(const char *name, uint32_t index, struct interface_info *out) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
    struct rtattr attribute;
    char name[INTERFACE_NAME_MAX];
  } request;
  memset(&request, 0, sizeof(request));
  memset(out, 0, sizeof(*out));
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.link));
  request.link.ifi_family = AF_UNSPEC;
  if (name == NULL) {
    request.link.ifi_index = (int)index;
  } else {
    size_t length = strlen(name) + 1;
    if (length > sizeof(request.name)) return -ENODEV;
    memcpy(request.name, name, length);
    request.attribute.rta_type = IFLA_IFNAME;
    request.attribute.rta_len = (unsigned short)RTA_LENGTH(length);
    request.header.nlmsg_len += (uint32_t)RTA_SPACE(length);
  }
  int result = ask(NETLINK_ROUTE, &request.header, take_link, out);
  if (result != 0) return result;
  return out->index == 0 ? -ENODEV : 0;
}

int interface_channels(const char *name, struct interface_channels *out) {
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request;
  memset(&request, 0, sizeof(request));
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_data = (void *)&channels;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int result = ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
  close(fd);
  if (result != 0) return result;
  out->rx = channels.rx_count;
  out->tx = channels.tx_count;
  out->combined = channels.combined_count;
  return 0;
}

struct holder_list {
  struct xsk_holder *holders;
  size_t capacity;
  size_t count;
};

static void take_holder(const struct nlmsghdr *message, void *context) {
  struct holder_list *list = context;
  const struct xdp_diag_msg *socket_found = NLMSG_DATA(message);
  if (list->count == list->capacity) return;
  struct xsk_holder *holder = &list->holders[list->count];
  *holder = (struct xsk_holder){.inode = socket_found->xdiag_ino};
  bool bound = false;
  int left = (int)message->nlmsg_len - (int)NLMSG_SPACE(sizeof(*socket_found));
  const struct rtattr *attribute =
      (const struct rtattr *)((const uint8_t *)socket_found + NLMSG_ALIGN(sizeof(*socket_found)));
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != XDP_DIAG_INFO) continue;
    struct xdp_diag_info info;
    if (RTA_PAYLOAD(attribute) < sizeof(info)) continue;
    memcpy(&info, RTA_DATA(attribute), sizeof(info));
    holder->interface_index = info.ifindex;
    holder->queue = info.queue_id;
    bound = true;
  }
  if (bound) list->count++;
}

int xsk_holders(struct xsk_holder *out, size_t capacity) {
  struct {
    struct nlmsghdr header;
    struct xdp_diag_req query;
  } request;
  memset(&request, 0, sizeof(request));
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_len = sizeof(request);
  request.query.sdiag_family = AF_XDP;
  request.query.xdiag_show = XDP_SHOW_INFO;
  struct holder_list list = {.holders = out, .capacity = capacity, .count = 0};
  int result = ask(NETLINK_SOCK_DIAG, &request.header, take_holder, &list);
  return result != 0 ? result : (int)list.count;
}
