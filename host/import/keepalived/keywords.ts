/** The keywords of keepalived.conf(5), version 2.2.7, that have nothing to become in WVS. */

const VRRP = 'WVS has no VRRP';
const ROUTES = 'WVS sets no addresses, routes and rules';
const MAIL = 'WVS sends no mail; `notify` can';
const PROCESS = "it is about keepalived's own processes";
const SNMP = 'WVS has metrics in place of SNMP and DBus';
const NAMESPACE = 'start wvs in the network namespace instead';
const TRACKING = 'WVS has no VRRP that would track it';
const SCRIPTS = 'WVS runs commands as the user it runs as';
const FIFO = 'WVS writes events to its log';
const RELOAD = 'WVS checks a file before it takes it';
const BUFFERS = "it is about keepalived's own sockets";
const MARKS = 'addresses of a group become services of their own, without marks';

/** Blocks and keywords that stand for themselves. */
export const ROOT_UNEXPRESSED: Readonly<Record<string, string>> = {
  net_namespace: NAMESPACE,
  net_namespace_ipvs: NAMESPACE,
  namespace_with_ipsets: NAMESPACE,
  instance: PROCESS,
  use_pid_dir: PROCESS,
  child_wait_time: PROCESS,
  linkbeat_use_polling: TRACKING,
  linkbeat_interfaces: TRACKING,
  interface_up_down_delays: TRACKING,
  track_group: TRACKING,
  static_ipaddress: ROUTES,
  static_routes: ROUTES,
  static_rules: ROUTES,
  garp_group: VRRP,
  vrrp_sync_group: VRRP,
  vrrp_instance: VRRP,
  vrrp_script: VRRP,
  vrrp_track_process: VRRP,
  track_process: VRRP,
  bfd_instance: 'WVS has no BFD',
};

/** Keywords of global_defs, each with why it has nothing to become. */
export const GLOBAL_UNEXPRESSED: Readonly<Record<string, string>> = {
  ...ofReason(MAIL, [
    'notification_email',
    'notification_email_from',
    'smtp_server',
    'smtp_helo_name',
    'smtp_connect_timeout',
    'smtp_alert',
    'smtp_alert_vrrp',
    'smtp_alert_checker',
    'no_email_faults',
    'no_checker_emails',
    'router_id',
    'email_faults',
  ]),
  ...ofReason(VRRP, [
    'default_interface',
    'disable_local_igmp',
    'dynamic_interfaces',
    'fifo_write_vrrp_states_on_reload',
    'log_unknown_vrids',
    'nftables',
    'nftables_counters',
    'nftables_ifindex',
    'nftables_priority',
    'vmac_addr_prefix',
    'vmac_prefix',
  ]),
  ...ofReason(PROCESS, [
    'bfd_cpu_affinity',
    'bfd_no_swap',
    'bfd_priority',
    'bfd_process_name',
    'bfd_rlimit_rtime',
    'bfd_rlimit_rttime',
    'bfd_rt_priority',
    'checker_cpu_affinity',
    'checker_no_swap',
    'checker_priority',
    'checker_process_name',
    'checker_rlimit_rtime',
    'checker_rlimit_rttime',
    'checker_rt_priority',
    'child_wait_time',
    'config_save_dir',
    'data_use_instance',
    'instance',
    'linkbeat_use_polling',
    'lvs_process_name',
    'max_auto_priority',
    'min_auto_priority_delay',
    'net_namespace',
    'net_namespace_ipvs',
    'process_name',
    'process_names',
    'random_seed',
    'snmp_socket',
    'tmp_config_directory',
    'umask',
    'use_pid_dir',
  ]),
  ...ofReason(SNMP, [
    'dbus_no_interface_name',
    'dbus_service_name',
    'enable_dbus',
    'enable_snmp_checker',
    'enable_snmp_keepalived',
    'enable_snmp_rfc',
    'enable_snmp_rfcv2',
    'enable_snmp_rfcv3',
    'enable_snmp_vrrp',
    'enable_traps',
  ]),
  ...ofReason(SCRIPTS, ['enable_script_security', 'script_user']),
  ...ofReason('wvs starts no other program; systemd can', [
    'shutdown_script',
    'shutdown_script_timeout',
    'startup_script',
    'startup_script_timeout',
  ]),
  ...ofReason(FIFO, [
    'lvs_notify_fifo',
    'lvs_notify_fifo_script',
    'notify_fifo',
    'notify_fifo_script',
    'vrrp_notify_fifo',
    'vrrp_notify_fifo_script',
    'vrrp_notify_priority_changes',
  ]),
  ...ofReason(RELOAD, ['reload_check_config', 'reload_file', 'reload_repeat', 'reload_time_file']),
  ...ofReason(BUFFERS, [
    'lvs_netlink_cmd_rcv_bufs',
    'lvs_netlink_cmd_rcv_bufs_force',
    'lvs_netlink_monitor_rcv_bufs',
    'lvs_netlink_monitor_rcv_bufs_force',
    'process_monitor_rcv_bufs',
    'process_monitor_rcv_bufs_force',
  ]),
  ...ofReason(MARKS, ['nftables_ipvs', 'nftables_ipvs_priority', 'nftables_ipvs_start_fwmark']),
  checker_log_all_failures: 'WVS logs changes of state',
  lvs_sync_daemon: 'WVS does not synchronize connections',
  rs_init_notifies: 'WVS runs commands for changes of state only',
};

/** Why a keyword of global_defs has nothing to become, or undefined when there is none such. */
export function globalReason(keyword: string): string | undefined {
  const own = Object.hasOwn(GLOBAL_UNEXPRESSED, keyword) ? GLOBAL_UNEXPRESSED[keyword] : undefined;
  return own ?? (keyword.startsWith('vrrp_') ? VRRP : undefined);
}

function ofReason(reason: string, keywords: readonly string[]): Record<string, string> {
  return Object.fromEntries(keywords.map((keyword) => [keyword, reason]));
}
