import { describe, expect, test } from 'vitest';
import { notesOf, outcome } from '../support.ts';

/**
 * The keywords of keepalived 2.2.7 by the block they belong to, as `keepalived -t` knows them, each
 * with a value that does no harm where one is needed.
 */
const KEYWORDS: Readonly<Record<string, string>> = {
  root: `
    SSL bfd_instance child_wait_time garp_group global_defs instance
    interface_up_down_delays linkbeat_interfaces linkbeat_use_polling namespace_with_ipsets
    net_namespace net_namespace_ipvs static_ipaddress static_routes static_rules track_file
    track_group track_process use_pid_dir virtual_server virtual_server_group vrrp_instance
    vrrp_script vrrp_sync_group vrrp_track_file vrrp_track_process
  `,
  global_defs: `
    bfd_cpu_affinity bfd_no_swap bfd_priority bfd_process_name bfd_rlimit_rtime
    bfd_rlimit_rttime bfd_rt_priority checker_cpu_affinity checker_log_all_failures
    checker_no_swap checker_priority checker_process_name checker_rlimit_rtime
    checker_rlimit_rttime checker_rt_priority config_save_dir data_use_instance
    dbus_service_name default_interface disable_local_igmp dynamic_interfaces enable_dbus
    enable_script_security enable_snmp_checker enable_snmp_keepalived enable_snmp_rfc
    enable_snmp_rfcv2 enable_snmp_rfcv3 enable_snmp_vrrp enable_traps
    fifo_write_vrrp_states_on_reload log_unknown_vrids lvs_flush lvs_flush_on_stop
    lvs_flush_onstop lvs_netlink_cmd_rcv_bufs lvs_netlink_cmd_rcv_bufs_force
    lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force lvs_notify_fifo
    lvs_notify_fifo_script lvs_process_name lvs_sync_daemon lvs_timeouts max_auto_priority
    min_auto_priority_delay nftables nftables_counters nftables_ifindex nftables_ipvs
    nftables_ipvs_priority nftables_ipvs_start_fwmark nftables_priority no_checker_emails
    no_email_faults notification_email notification_email_from notify_fifo
    notify_fifo_script process_monitor_rcv_bufs process_monitor_rcv_bufs_force process_name
    process_names random_seed reload_check_config reload_file reload_repeat reload_time_file
    router_id rs_init_notifies script_user shutdown_script shutdown_script_timeout
    smtp_alert smtp_alert_checker smtp_alert_vrrp smtp_connect_timeout smtp_helo_name
    smtp_server snmp_socket startup_script startup_script_timeout tmp_config_directory umask
    vmac_addr_prefix vmac_prefix vrrp_check_unicast_src vrrp_cpu_affinity
    vrrp_down_timer_adverts vrrp_garp_extra_if vrrp_garp_interval vrrp_garp_lower_prio_delay
    vrrp_garp_lower_prio_repeat vrrp_garp_master_delay vrrp_garp_master_refresh
    vrrp_garp_master_refresh_repeat vrrp_garp_master_repeat vrrp_gna_interval
    vrrp_higher_prio_send_advert vrrp_iptables vrrp_lower_prio_no_advert vrrp_mcast_group4
    vrrp_mcast_group6 vrrp_min_garp vrrp_netlink_cmd_rcv_bufs
    vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs
    vrrp_netlink_monitor_rcv_bufs_force vrrp_no_swap vrrp_notify_fifo
    vrrp_notify_fifo_script vrrp_notify_priority_changes vrrp_priority vrrp_process_name
    vrrp_rlimit_rtime vrrp_rlimit_rttime vrrp_rt_priority vrrp_rx_bufs_multiplier
    vrrp_rx_bufs_policy vrrp_skip_check_adv_addr vrrp_startup_delay vrrp_strict vrrp_version
    vrrp_vmac_garp_intvl
  `,
  virtual_server: `
    alpha connect_timeout delay_before_retry delay_loop flag-1 flag-2 flag-3 ha_suspend
    hashed hysteresis inhibit_on_failure ip_family lb_algo lb_kind lvs_method lvs_sched mh-fallback
    mh-port omega ops persistence_engine persistence_granularity
    persistence_timeout protocol quorum quorum_down quorum_up retry sh-fallback sh-port
    smtp_alert snmp_name sorry_server sorry_server_inhibit sorry_server_lvs_method
    virtualhost warmup weight
  `,
  real_server: `
    alpha connect_timeout delay_before_retry delay_loop inhibit_on_failure lthreshold
    lvs_method notify_down notify_up retry smtp_alert snmp_name uthreshold virtualhost
    warmup weight
  `,
  HTTP_GET: `
    alpha bind_if bind_port bindto connect_ip connect_port connect_timeout
    delay_before_retry delay_loop enable_sni fast_recovery fwmark http_protocol
    log_all_failures nb_get_retry retry virtualhost warmup
  `,
  url: `
    digest path regex regex_max_offset regex_min_offset regex_no_match regex_options
    regex_stack status_code virtualhost
  `,
  TCP_CHECK: `
    alpha bind_if bind_port bindto connect_ip connect_port connect_timeout
    delay_before_retry delay_loop fwmark log_all_failures retry warmup
  `,
  SMTP_CHECK: `
    alpha bind_if bind_port bindto connect_ip connect_port connect_timeout
    delay_before_retry delay_loop fwmark helo_name log_all_failures retry warmup
  `,
  host: `
    alpha bind_if bind_port bindto connect_ip connect_port connect_timeout
    delay_before_retry delay_loop fwmark log_all_failures retry warmup
  `,
  DNS_CHECK: `
    alpha bind_if bind_port bindto connect_ip connect_port connect_timeout
    delay_before_retry delay_loop fwmark log_all_failures name retry type warmup
  `,
  MISC_CHECK: `
    alpha delay_before_retry delay_loop log_all_failures misc_dynamic misc_path misc_timeout
    retry user warmup
  `,
  UDP_CHECK: `
    alpha bind_if bind_port bindto connect_ip connect_port connect_timeout
    delay_before_retry delay_loop fwmark log_all_failures max_reply_length min_reply_length
    payload require_reply retry warmup
  `,
  PING_CHECK: `
    alpha bind_if bind_port bindto connect_ip connect_port connect_timeout
    delay_before_retry delay_loop fwmark log_all_failures retry warmup
  `,
  FILE_CHECK: `
    track_file weight
  `,
  BFD_CHECK: `
    alpha name
  `,
  track_file: `
    file init_file weight
  `,
  SSL: `
    ca certificate key password
  `,
};

/** The blocks around a statement of each block, outermost first. */
const AROUND: Readonly<Record<string, readonly string[]>> = {
  root: [],
  global_defs: ['global_defs'],
  virtual_server: ['virtual_server 192.0.2.80 80'],
  real_server: ['virtual_server 192.0.2.80 80', 'real_server 10.0.0.1 80'],
  track_file: ['track_file load'],
  SSL: ['SSL'],
};

function aroundOf(block: string): readonly string[] {
  const own = AROUND[block];
  if (own !== undefined) return own;
  const parent = block === 'url' ? 'HTTP_GET' : block === 'host' ? 'SMTP_CHECK' : undefined;
  return [...AROUND.real_server!, ...(parent === undefined ? [] : [parent]), block];
}

/** What is said of a statement in its block. */
function notesAbout(block: string, statement: string): string[] {
  const around = aroundOf(block);
  const text = [...around.map((line) => `${line} {`), statement, ...around.map(() => '}')].join(
    '\n',
  );
  const line = around.length + 1;
  return notesOf(outcome(text)).filter((note) => note.startsWith(`${line}: `));
}

describe('every keyword of keepalived is taken, or reported with a reason', () => {
  for (const [block, words] of Object.entries(KEYWORDS)) {
    test.each(words.trim().split(/\s+/))(`${block}: %s`, (keyword) => {
      for (const note of notesAbout(block, `${keyword} 1`)) {
        expect(note).not.toContain('unknown keyword');
        expect(note.length).toBeGreaterThan(20);
      }
    });
  }
});

const READ = Object.keys(KEYWORDS).filter((block) => block !== 'BFD_CHECK');

test.each(READ)('%s: a keyword that keepalived does not have is reported', (block) => {
  expect(notesAbout(block, 'no_such_keyword 1').join()).toContain(
    'unknown keyword "no_such_keyword"',
  );
});
