/**
 * What ejabberd has, whether or not it is built here: a configuration that names these is right, and gets a warning
 * for each that is missing; any other name is a mistake.
 */
export const ejabberdModules: readonly string[] = names(`
  mod_adhoc mod_adhoc_api mod_admin_extra mod_admin_update_sql mod_announce mod_antispam mod_auth_fast mod_avatar
  mod_block_strangers mod_blocking mod_bosh mod_caps mod_carboncopy mod_client_state mod_configure mod_conversejs
  mod_delegation mod_disco mod_fail2ban mod_host_meta mod_http_api mod_http_fileserver mod_http_upload
  mod_http_upload_quota mod_invites mod_jidprep mod_last mod_legacy_auth mod_mam mod_matrix_gw mod_metrics mod_mix
  mod_mix_pam mod_mqtt mod_mqtt_bridge mod_muc mod_muc_admin mod_muc_log mod_muc_rtbl mod_multicast mod_offline
  mod_ping mod_pres_counter mod_privacy mod_private mod_privilege mod_providers mod_proxy65 mod_pubsub
  mod_pubsub_serverinfo mod_push mod_push_keepalive mod_register mod_register_web mod_roster mod_s2s_bidi
  mod_s2s_dialback mod_scram_upgrade mod_service_log mod_shared_roster mod_shared_roster_ldap mod_sic mod_sip
  mod_stats mod_stream_mgmt mod_stun_disco mod_time mod_vcard mod_vcard_ldap mod_vcard_mnesia mod_vcard_xupdate
  mod_version
`)

/** The better known ones of those that are installed beside ejabberd. */
export const contributedModules: readonly string[] = names(`
  mod_captcha_rust mod_cron mod_default_contacts mod_default_rooms mod_deny_omemo mod_ecaptcha mod_filter mod_grafite
  mod_http_redirect mod_irc mod_isolation mod_libcluster mod_log_chat mod_logsession mod_logxml mod_message_log
  mod_muc_log_http mod_openid mod_post_log mod_pottymouth mod_prometheus mod_push_offline mod_rest mod_s3_upload
  mod_shcommands mod_spam_filter mod_statsdx mod_tombstones mod_unified_push mod_webadmin_config mod_webpresence
  atom_pubsub ircd
`)

export const ejabberdListeners: readonly string[] = names(`
  ejabberd_c2s ejabberd_http ejabberd_s2s_in ejabberd_service ejabberd_sip ejabberd_stun ejabberd_xmlrpc mod_mqtt
`)

/** What may stand in the `request_handlers` of an HTTP listener. */
export const ejabberdHandlers: readonly string[] = names(`
  ejabberd_acme ejabberd_captcha ejabberd_ctl ejabberd_http_ws ejabberd_oauth ejabberd_web_admin ejabberd_xmlrpc
  mod_bosh mod_conversejs mod_host_meta mod_http_api mod_http_fileserver mod_http_upload mod_invites mod_matrix_gw
  mod_mqtt mod_providers mod_register_web
`)

function names(text: string): readonly string[] {
  return text.trim().split(/\s+/)
}
